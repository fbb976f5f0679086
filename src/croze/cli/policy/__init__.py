"""`croze policy`: build policies by themselves."""
