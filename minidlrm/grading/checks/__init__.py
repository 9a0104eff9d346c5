"""What each assignment is graded by: one file of tests an assignment, run by pytest."""
