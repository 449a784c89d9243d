"""One module a command; each has `add_parser` and what the command runs.

Whoever adds one finds here what all of them share:

- print with `process.say` (results) and `process.tell` (all else), never with `print`: a broken
  pipe, a full disk and a name that a terminal would obey are dealt with there;
- raise `InputError` where something given cannot be used: `__main__` prints it and returns 2.
  Where one bad photo must not stop the others, catch `process.REFUSED` and `process.complain`;
- let `KeyboardInterrupt` through. It is Ctrl-C and a polite `kill` alike;
- write to the paths of `targets.Targets`, which never lie over an input, within
  `output.whole_file`, so that a file is there whole or not at all;
- pass a name that a user or a file gave through `names.plain` or `names.cut` before it is part of
  a text of several lines, or of a figure, which is drawn within `show.figure.own_settings`;
- count with `with progress.Progress("photos") as line`;
- take a network with `options.add_model` and `options.load_options`, and any other name with
  ``type=options.name``, which refuses "";
- print what can be lost before what can fail: first the results, then figures.
"""
