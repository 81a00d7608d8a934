"""`python -m sftframe` is the command `sftframe`."""

from sftframe.cli.app import main

if __name__ == "__main__":
    main()
