"""Imported by a decoding process, and first of all by the server that forks them: it writes to nobody.

Native decoders write to standard error past Python, and a process that is stopped while it starts prints
a traceback. What went wrong with a clip comes back as a value. The server ends with whoever started it.
"""

import os

from fsarctl.video.processes.lifetime import end_with_whoever_started

with open(os.devnull, "wb") as _nobody:  # noqa: PTH123
    os.dup2(_nobody.fileno(), 2)

end_with_whoever_started()
