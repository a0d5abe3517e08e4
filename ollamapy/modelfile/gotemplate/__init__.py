"""Go's `text/template` in Python: text and data in, text out. No clock, disk or network.

`parse(text)` gives a Template; `Template.execute(data)` gives the text. Both raise TemplateError.
"""

from ollamapy.modelfile.gotemplate.template import Template, parse
from ollamapy.modelfile.gotemplate.values import JsonList, JsonMap, Member, Record, Shape, TypeNames

__all__ = ["JsonList", "JsonMap", "Member", "Record", "Shape", "Template", "TypeNames", "parse"]
