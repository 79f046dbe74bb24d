"""The bundled English-German phrases, made and not downloaded."""
