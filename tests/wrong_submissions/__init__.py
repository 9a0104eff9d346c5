"""Wrong answers to each coded part of the assignments, and what each of them costs.

An entry is (body of the function, points left of the task, words of the feedback). The body
replaces the solution; everything else of the submission is right.
"""

from .a1 import A1
from .a2 import A2
from .a3 import A3
from .a4 import A4
from .a5 import A5
from .a6 import A6

ALL = {"A1": A1, "A2": A2, "A3": A3, "A4": A4, "A5": A5, "A6": A6}
