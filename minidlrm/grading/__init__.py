"""Grade assignments: functions are called in a process of their own, and judged here.

`release` makes the students' files from the instructor's source; `sandbox` runs a submission;
`checks` holds the tests of each assignment, and `plugin` counts their points; `runner` grades
a class; `reports` writes what students and teachers read; `adapters` speaks to platforms.
"""
