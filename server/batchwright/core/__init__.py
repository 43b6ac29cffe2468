"""The nouns and the ground of the program: values, errors, settings, money, texts and files."""
