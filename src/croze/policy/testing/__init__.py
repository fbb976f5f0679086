"""`policy test`: rules named `test_…` in files named `…_test.rego`."""
