"""Rows that the methods of embed are proved on."""

from __future__ import annotations

from fettle.data.records import TextPair

RANKED_SAMPLES = (
    TextPair("where is my parcel?", "Parcels are on their way for two days."),
    TextPair("I want my money back", "We pay back within two weeks."),
    TextPair("do you have tea?", "Green, black and mint tea.", ("A kettle of steel.",)),
    TextPair("it arrived broken", "Send a picture, and we send a new one."),
    TextPair("when are you open?", "From nine to six."),
    TextPair("a lamp for reading", "The desk lamp, with a warm light.", ("A kettle of steel.", "Slippers of wool.")),
    TextPair("can I pay by card?", "Every card is taken."),
    TextPair("who are you?", "A small shop by the sea."),
)
SCORED_SAMPLES = (
    TextPair("a cat sits", "a cat is sitting", score=0.96),
    TextPair("a cat sits", "a dog runs", score=0.2),
    TextPair("it rains", "rain is falling", score=0.9),
    TextPair("it rains", "the sun shines", score=0.3),
    TextPair("he eats bread", "he is eating", score=0.6),
    TextPair("he eats bread", "she sleeps", score=0.1),
    TextPair("two men talk", "two people talk", score=0.8),
    TextPair("two men talk", "a boat", score=0.0),
)
