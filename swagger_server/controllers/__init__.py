"""What the spec's operations do, one module per part of the API: read the parameters, ask, answer.

The parameters arrive checked against the spec. No SQL here.
"""
