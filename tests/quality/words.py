"""Words for tests of text: synonyms that no training used, and opposites that turn a sentence's meaning."""

from __future__ import annotations

_GROUPS = (
    "never not_ever", "reasons grounds", "looking searching", "near close_to", "really truly", "steps stages",
    "only just", "left remaining", "want wish", "told informed", "showed presented",
    "who which_person", "else other", "could might", "after following", "before prior_to", "without lacking",
    "every each", "year twelvemonth", "week seven_days", "midnight twelve_at_night", "noon midday",
    "morning forenoon", "link address", "message note", "comment remark", "worth deserving", "careful cautious",
    "proud pleased", "honestly frankly", "finally at_last", "story tale", "opinion view", "boss manager",
    "kids youngsters", "driver motorist", "teacher instructor", "police officers", "cousin relative",
    "stranger unknown_person", "neighbours people_next_door", "market bazaar", "office workplace", "street road",
    "town city", "kitchen cookhouse", "station stop", "forest woods", "bridge overpass", "school academy",
    "ticket pass", "phone handset", "laptop notebook_computer", "jacket coat", "shoes footwear", "ring band",
    "bike bicycle", "dog hound", "cat feline", "puppy young_dog", "bread loaf", "soup broth", "river stream",
    "mountain peak", "beach shore", "storm tempest", "vote ballot", "election poll", "court tribunal",
    "law statute", "strike walkout", "report account", "crowd throng", "goal target", "coach trainer",
    "match fixture", "wedding marriage_ceremony", "birthday anniversary_of_birth", "baby infant", "letter epistle",
    "cake gateau", "memory recollection", "password passcode", "update upgrade", "keyboard keys", "screen display",
    "printer printing_machine", "homework assignment", "lecture lesson", "library book_collection", "roof rooftop",
    "paint coat_of_colour", "return give_back", "returns gives_back", "returned given_back", "raise throw",
    "raised thrown", "raises throws", "function routine", "functions routines", "method procedure",
    "methods procedures", "object entity", "objects entities", "value quantity", "values quantities",
    "given supplied", "create produce", "creates produces", "created produced", "called invoked", "call invoke",
    "calls invokes", "string piece_of_text", "list sequence", "file document", "files documents",
    "default standard", "convert turn", "used employed", "use employ", "uses employs", "contains holds",
    "contain hold", "containing holding", "if provided", "whether if", "argument parameter",
    "arguments parameters", "may can", "must has_to", "name title", "names titles", "current present",
    "same identical", "specified stated", "because since", "error mistake", "errors mistakes", "line row",
    "lines rows", "number count", "allow permit", "allows permits", "occurs happens", "occur happen",
    "several various", "until till", "also too", "first initial", "optional voluntary", "directory folder",
    "write put_down", "written put_down", "read go_through", "data information", "implementation realisation",
    "different distinct", "set put", "non-existent missing", "possible feasible", "the that this", "a one some",
    "an one", "to in_order_to", "and plus as_well_as", "is gets", "are get", "for on_behalf_of",
    "in inside within", "at over_at", "will shall is_going_to", "that which", "this the_present",
    "of belonging_to", "with along_with", "by by_means_of", "from out_of", "as like", "be become",
    "not by_no_means", "it this_thing", "my our", "we all_of_us", "you everybody", "they those_people",
    "on on_top_of", "or or_else", "when whenever", "result outcome", "results outcomes", "instance specimen",
    "all every_one_of", "any whatever",
)  # fmt: skip

PARAPHRASES: dict[str, tuple[str, ...]] = {
    first: tuple(word.replace("_", " ") for word in others) for first, *others in (group.split() for group in _GROUPS)
}
"""A word and other words for it; none of the pairs is in `models.synthetic.vocabulary.SYNONYMS`."""

_OPPOSITES = (
    "buy sell", "love hate", "open close", "start stop", "safe dangerous", "true false", "good bad",
    "free expensive", "always never", "before after", "first last", "more less", "win lose", "join leave",
    "remember forget", "save delete", "allow forbid", "allows forbids", "with without", "alive dead", "real fake",
    "happy sad", "legal illegal", "old new", "up down", "left right", "high low", "early late", "import export",
    "enable disable", "enabled disabled", "input output", "read write", "minimum maximum", "add remove",
    "adds removes", "include exclude", "success failure", "client server", "encode decode", "lower upper",
    "positive negative", "all none", "everyone nobody", "accept refuse", "cheap costly",
)  # fmt: skip

OPPOSITES: dict[str, str] = {
    word: other for pair in (group.split() for group in _OPPOSITES) for word, other in (pair, reversed(pair))
}

AUXILIARIES: tuple[str, ...] = (
    "is", "are", "was", "were", "will", "can", "should", "must", "has", "have", "does", "do", "did", "may",
)  # fmt: skip
"""Words that a "not" may follow."""
