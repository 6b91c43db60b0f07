"""Rows that the methods of classify are proved on."""

from __future__ import annotations

from fettle.data.records import LabelledText, MultiLabelledText

LABELLED_SAMPLES = (
    LabelledText("where is my parcel?", "delivery"),
    LabelledText("it has not come yet", "delivery"),
    LabelledText("when will it arrive?", "delivery"),
    LabelledText("I want my money back", "refund"),
    LabelledText("please pay me back", "refund"),
    LabelledText("the card was charged twice", "payment"),
    LabelledText("my card was refused", "payment"),
    LabelledText("", "payment"),
)
SAMPLES_OF_SEVERAL = (
    *(MultiLabelledText(one.text, (one.label, "asked")) for one in LABELLED_SAMPLES[:6]),
    MultiLabelledText("nothing at all", ()),
    MultiLabelledText("hello there", ("asked",)),
)
