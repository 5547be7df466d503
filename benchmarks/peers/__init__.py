"""The services that benchmarks/service.py measures ours against: the same API, each as its experts write it.

Each answers the same requests from the same tables by the same SQL, checks its parameters, answers
cross-origin requests and takes over or makes a request id. Their lists tell the next page, but they do not
follow a cursor, which nothing measured here does; theirs are made without our mark of the list.
"""
