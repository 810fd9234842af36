"""A toy plug-in for sparqc: the parts that a third-party package can bring."""
