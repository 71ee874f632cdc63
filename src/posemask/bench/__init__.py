"""How fast this machine runs posemask, and how fast a peer does the same work.

Times of two programs can only be compared if they were taken in alternation: other work on the machine comes in
phases. So every subject lives in its own process, which sleeps while it is not its turn; the parent lets them run one
block of frames after the other, several rounds, and takes medians of the blocks' medians.

    frames.py        the frames that all subjects see
    work.py          what is measured: the rows of the tables
    subjects.py      the same work done by posemask and by MediaPipe: callables from a frame to a finished result
    worker.py        the process that a subject lives in
    rounds.py        the parent: workers, alternation, statistics
    environment.py   the machine and the versions
    report.py        tables and JSON
"""
