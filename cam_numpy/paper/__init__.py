"""The paper, section by section, in NumPy alone. Read it beside the PDF, in this order:

================  =============  =================================================================
file              paper          what it holds
================  =============  =================================================================
cam.py            Section 2      F_k, S_c, P_c, M_c; Eq. 1 and Eq. 2; the check of a network's scores
forms.py          Sections 2, 3  the ways from f to S: average, Network in Network, ReLU, maximum
upsample.py       Section 2      from the cells of a map to pixels
boxes.py          Section 3      from a map to a bounding box; how much two boxes overlap
localisation.py   Section 3      how often the box is right: the error measures
occlusion.py      Section 1      the method that CAM is compared with
probe.py          Section 4      a linear classifier on F_k: the w and b of classes of your own
units.py          Section 5      class-specific units: w_k^c F_k, a unit's vocabulary, silent units
================  =============  =================================================================

A file whose name starts with an underscore is machinery: _checks.py refuses bad arrays,
_components.py finds connected components quickly.
"""
