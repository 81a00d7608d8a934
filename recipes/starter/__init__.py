"""The bundled `starter` data: word lists, families of instructions made from them, and the script that writes the file."""
