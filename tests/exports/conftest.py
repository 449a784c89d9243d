collect_ignore = ["families.py", "make.py"]  # they need torch, which the tests do not
