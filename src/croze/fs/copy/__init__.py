"""Files and trees copied as BuildKit's file op copies them; archives unpacked on the way."""
