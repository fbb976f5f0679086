"""The functions that Bake files can call.

A module holds the functions of one subject and their table; `library` puts the tables together.
Names, parameters and messages are those of the functions buildx registers.
"""
