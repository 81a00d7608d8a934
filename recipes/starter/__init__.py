"""The bundled `starter` data: word lists, families of instructions made from them, the script that writes it."""
