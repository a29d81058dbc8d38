"""Reports of scores as dataclasses, one file a kind, and their files.

`to_dict` gives the JSON that avaffect-eval-class(1), avaffect-eval-ccc(1) and avaffect-compare(1)
describe, `from_dict` reads it again.
"""
