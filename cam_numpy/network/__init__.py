"""From an .onnx file to f, w, b and S; the only folder that imports onnxruntime. In reading order:

==============================  =====================================================================
file                            what it does
==============================  =====================================================================
network.py                      `load`, and the Network that it gives
locate.py                       which file is meant: a path, a shipped network, or one of the catalogue
source.py                       the file: its bytes, its graph, sessions of all of it or of a part
runner.py                       shows a network a picture, and us any of its tensors
opening.py                      finds the head with its w and b: reads it in the graph, or asks it
head.py, fold.py                read: the way back from the scores to the pooling, folded into w and b
ask.py, search.py               asked: the scores when only unit k fires; and which tensor is f
refuse.py                       why CAM does not apply
forward.py, layout.py           from an input to f (K, H, W) and S; how a network stores f
layers.py, geometry.py          the maps of all layers, and where their cells lie in the picture
inspection.py                   the verdict, as a drawing and as a record
hints.py, classes.py            what a file says of its photos and classes; the names of classes
catalogue.py, download.py       public networks, and how they are fetched
onnx_reader.py, onnx_writer.py  protobuf, read and written by hand
session.py                      the one door to onnxruntime
==============================  =====================================================================
"""
