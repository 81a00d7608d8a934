"""`python -m recipes.starter`: writes the bundled data file anew."""

from recipes.starter.make_starter import STARTER_PATH, write_starter

if __name__ == "__main__":
    print(f"{write_starter()} rows written to {STARTER_PATH.name}")
