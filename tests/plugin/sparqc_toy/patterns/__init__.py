"""Pattern files of the toy plug-in."""
