"""The imperative shell: thin adapters around the core, one module a resource; none imports another."""
