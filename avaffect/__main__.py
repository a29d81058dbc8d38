"""`python -m avaffect` is the `avaffect` command."""

from avaffect.cli.main import main

if __name__ == "__main__":
    main()
