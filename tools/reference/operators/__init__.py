"""`sparqc ops`: what the operator table says of each operator."""
