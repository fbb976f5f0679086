"""`croze bake`: `command` reads the words, definitions come from files or from elsewhere
(`remote`), flags change them (`overrides`), whoever runs it is asked (`privileges`); then they are
listed (`list`) or built (`build`).
"""
