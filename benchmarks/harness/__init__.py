"""The parts of benchmarks/service.py: the database, the services, the load, the comparison and the report."""
