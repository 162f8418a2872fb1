"""Configuration as a file: read, checked, compared with what there is, and written as one."""
