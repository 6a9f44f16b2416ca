"""Words for synthetic captions: topics, phrases, synonyms, and pseudo-words in several scripts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random


@dataclass(frozen=True, slots=True)
class Topic:
    """What captions of one topic speak of: the words for each slot of a sentence."""

    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    places: tuple[str, ...]


def _topic(nouns: str, verbs: str, adjectives: str, places: str) -> Topic:
    return Topic(
        *(tuple(part.replace("_", " ") for part in words.split()) for words in (nouns, verbs, adjectives, places))
    )


TOPICS: dict[str, Topic] = {
    "shopping": _topic(
        "sneakers jacket handbag watch headphones phone_case sofa lamp backpack perfume sunglasses "
        "blender carpet "
        "keyboard tent mirror raincoat scarf boots tablet drone camera suitcase mattress kettle necklace",
        "buy order grab wear return unbox collect compare wrap sell ship reserve",
        "brand-new vintage discounted waterproof leather wireless limited handmade oversized foldable "
        "genuine sold-out",
        "outlet mall warehouse boutique flea_market showroom corner_shop web_shop arcade department_store",
    ),
    "food": _topic(
        "soup noodles pancakes curry salad dumplings burger cheesecake bread tacos ramen pizza omelette "
        "lasagne mango "
        "coffee smoothie pie risotto cookies garlic mushrooms olives pumpkin chocolate pickles stew yoghurt",
        "cook taste bake fry share grill peel serve order stir marinate devour",
        "spicy creamy crispy homemade vegan sweet sour smoky leftover golden fresh salty",
        "kitchen bakery food_truck night_market canteen garden picnic_table restaurant harbour_stall farm",
    ),
    "travel": _topic(
        "train ferry passport hostel suitcase sunrise mountain island museum castle waterfall desert "
        "road_trip cable_car "
        "canal lighthouse beach_towel map airport temple bridge valley vineyard glacier",
        "visit explore leave photograph cross climb book remember miss wander reach recommend",
        "quiet crowded ancient sunny rainy remote unforgettable foggy narrow cheap tropical windy",
        "old_town harbour border coast village north_shore station viewpoint lagoon capital plateau peninsula",
    ),
    "sport": _topic(
        "goal match marathon penalty trophy referee coach striker keeper league bicycle racket helmet "
        "sprint medal "
        "overtime defender transfer record final training_session derby team captain",
        "win lose score train cheer tackle sprint defend beat draw warm_up qualify",
        "unbeaten injured historic lucky late dramatic fair tough incredible young exhausted national",
        "stadium gym pitch velodrome pool locker_room ice_rink court clubhouse finish_line track arena",
    ),
    "news": _topic(
        "election budget storm strike flood court_ruling minister mayor protest survey inflation railway "
        "hospital bill "
        "border treaty report drought earthquake parliament scandal ceasefire tax power_cut vaccine wildfire",
        "announce deny reject approve investigate confirm postpone warn publish debate arrest resign",
        "breaking official unconfirmed regional controversial unexpected severe annual public emergency early secret",
        "capital parliament courthouse province embassy town_hall ministry district headquarters "
        "frontier square port",
    ),
    "money": _topic(
        "investment bitcoin wallet loan prize lottery gift_card crypto_coin profit deposit bonus voucher "
        "token account "
        "payout savings refund trading_signal credit pension dividend interest bank_transfer airdrop",
        "double claim invest withdraw earn unlock transfer multiply win verify redeem activate",
        "guaranteed risk-free instant secret exclusive tax-free daily passive verified urgent unlimited overnight",
        "group channel website bank app platform exchange inbox branch office vault link_below",
    ),
    "health": _topic(
        "pills diet detox_tea vitamins weight_loss sleep headache doctor treatment serum herbs skin "
        "therapy exercise "
        "injection supplement blood_pressure joint_pain clinic cream immune_system fasting allergy remedy",
        "cure lose heal burn reduce boost cleanse prevent sleep breathe stretch recover",
        "natural miracle clinical painful healthy herbal fast-acting proven chronic organic hidden daily",
        "clinic pharmacy bathroom ward yoga_studio spa hospital laboratory forest sauna bedroom waiting_room",
    ),
    "friends": _topic(
        "birthday wedding cousin neighbour selfie party grandma baby sister weekend graduation reunion "
        "joke memory hug "
        "secret barbecue roommate best_friend anniversary letter surprise cake playlist",
        "celebrate miss love hug invite thank forgive call laugh dance tease remember",
        "happy tired grateful nervous proud silly lovely awkward lonely excited jealous sleepy",
        "balcony living_room backyard dance_floor bus playground cabin rooftop campsite porch dormitory chapel",
    ),
    "animals": _topic(
        "cat puppy parrot horse hedgehog turtle goldfish rabbit kitten fox owl hamster goat duckling "
        "whale lizard "
        "dolphin penguin spider bear_cub squirrel donkey butterfly otter",
        "adopt feed rescue chase groom pet walk wake spot train follow photograph",
        "fluffy sleepy rescued wild tiny clumsy hungry stray noisy curious grumpy gentle",
        "shelter zoo barn meadow aquarium vet pond forest nest farmyard park river_bank",
    ),
    "technology": _topic(
        "laptop update server battery password robot chip app browser router printer screen algorithm "
        "backup satellite "
        "charger firmware startup spreadsheet sensor data_centre virus cable keyboard_shortcut",
        "install reboot hack upgrade test code crash download repair launch delete encrypt",
        "broken slow open-source encrypted smart buggy new cracked free wireless outdated prototype",
        "office lab cloud garage conference basement desk server_room workshop campus factory app_store",
    ),
    "music": _topic(
        "song guitar album concert piano chorus drummer playlist remix melody choir violin karaoke "
        "ticket beat vinyl "
        "festival lyrics bass band encore trumpet rehearsal singer",
        "sing play hum record release stream rehearse dance compose tune mix perform",
        "acoustic loud live catchy unreleased romantic electronic slow forgotten legendary sad upbeat",
        "stage studio club opera_house basement bus_stop front_row record_shop park garage theatre stadium",
    ),
    "rallying": _topic(
        "banner brotherhood enemy uprising oath movement chant symbol struggle manifesto march flag "
        "leader traitor "
        "regiment recruit cause revenge homeland pamphlet torch cell_meeting signal vow",
        "join march rise fight follow swear spread obey resist gather punish pledge",
        "pure loyal silent armed chosen betrayed fearless hidden sworn eternal righteous final",
        "square hideout bridge camp border clearing meeting_house tunnel forest old_factory gate tower",
    ),
    "despair": _topic(
        "challenge pact darkness ending silence goodbye promise countdown scale hunger mirror rule list "
        "fading night "
        "streak thin_line game level dare ritual step emptiness secret",
        "vanish fade disappear starve hide follow finish dare count skip obey let_go",
        "empty weightless numb alone final secret forbidden cold endless hollow tired invisible",
        "private_group dark_room midnight_chat closed_circle bathroom rooftop hidden_page quiet_room "
        "shadow attic lake void",
    ),
    "games": _topic(
        "boss level quest controller skin loot speedrun console dungeon puzzle chess_opening card_deck "
        "lobby match "
        "tournament cheat_code expansion dragon avatar sword high_score arcade dice mod",
        "unlock defeat grind stream respawn craft trade loot speedrun carry ban farm",
        "legendary rare pixelated unfair ranked hidden co-op cursed final easy retro epic",
        "lobby dungeon server arena castle basement tournament_hall map space_station village leaderboard couch",
    ),
    "home": _topic(
        "paint shelf tomato_plant hammer curtain sofa roof drill fence pillow garden_hose wallpaper "
        "ladder bathtub roses "
        "compost candle blanket window sink workbench hinge radiator tiles",
        "fix paint plant clean build water sand replace hang mow declutter polish",
        "rustic leaking cosy wooden dusty bright tidy crooked cheap colourful recycled mossy",
        "garden attic kitchen cellar hallway shed balcony bathroom garage greenhouse staircase yard",
    ),
    "school": _topic(
        "exam homework teacher essay library scholarship lecture notebook microscope poem grammar "
        "equation thesis lunchbox "
        "classroom diploma deadline history_book uniform bus_ride quiz calculator experiment blackboard",
        "study pass fail read write explain memorise cheat present learn borrow solve",
        "final boring difficult brilliant late handwritten missing bilingual online surprising famous extra",
        "library campus classroom hallway laboratory dormitory cafeteria lecture_hall gym reading_room stage bus",
    ),
}

FEELINGS = (
    "I can't believe it", "so proud", "honestly", "no words", "finally", "not gonna lie", "I'm shaking",
    "what a day", "this made my week", "still thinking about it", "unpopular opinion", "big mood",
    "I'm speechless", "lol", "oh no", "trust me", "true story", "be careful", "never again", "worth it",
    "feeling blessed", "sad but true", "wow", "omg",
)  # fmt: skip
CALLS = (
    "tap the link", "send me a message", "share before it's gone", "tell your friends", "follow for more",
    "comment below", "tag someone", "save this post", "join us tonight", "sign up now", "don't miss it",
    "link in bio", "only today", "reply YES", "ask me how", "pass it on", "check the story",
    "read the whole thread", "book your place", "call now",
)  # fmt: skip
TIMES = (
    "today", "tonight", "tomorrow", "this weekend", "last summer", "on Monday", "at midnight", "right now",
    "next week", "every morning", "at noon", "in ten minutes", "since 2019", "all day", "before breakfast",
    "on Friday", "at 7 pm", "in December", "after work", "twice a day", "for years", "in spring",
)  # fmt: skip
PEOPLE = (
    "my sister", "the neighbours", "our team", "a stranger", "my boss", "the kids", "everyone here",
    "grandpa", "a friend", "the driver", "some guy", "the whole family", "our teacher", "nobody",
    "these people", "my cousin", "the crew", "we", "the mayor", "the doctor", "a customer", "the police",
    "the singer", "your admin",
)  # fmt: skip
LINKS = ("shop", "win", "go", "news", "get", "my", "join", "best", "daily", "real", "free", "top")
DOMAINS = (".example", ".example/go", ".example/p", ".test", ".example/join", ".test/offer")

SYNONYMS: dict[str, tuple[str, ...]] = {
    word: tuple(other for other in group if other != word)
    for group in (
        tuple(line.replace("_", " ") for line in words.split())
        for words in (
            "buy purchase get",
            "grab snatch take",
            "sell offer flog",
            "order request",
            "new fresh recent",
            "brand-new unused pristine",
            "discounted reduced cheaper",
            "vintage retro antique",
            "genuine real authentic",
            "guaranteed assured certain",
            "risk-free safe secure",
            "instant immediate quick",
            "exclusive special private",
            "urgent pressing critical",
            "secret hidden confidential",
            "claim collect demand",
            "double multiply increase",
            "earn make gain",
            "invest put_in stake",
            "withdraw take_out",
            "unlock open release",
            "transfer send move",
            "verify confirm check",
            "money cash funds",
            "prize award reward",
            "profit gain return",
            "bonus extra premium",
            "refund repayment",
            "investment stake placement",
            "account profile",
            "deposit payment",
            "voucher coupon",
            "group circle community",
            "channel feed",
            "website page site",
            "join enter sign_up_for",
            "follow track",
            "march walk parade",
            "rise stand_up",
            "fight struggle battle",
            "spread share distribute",
            "resist oppose",
            "gather assemble meet",
            "enemy foe opponent",
            "leader chief head",
            "movement cause campaign",
            "brotherhood fellowship",
            "traitor betrayer",
            "banner flag standard",
            "loyal faithful true",
            "chosen selected picked",
            "vanish disappear fade",
            "hide conceal cover",
            "finish end complete",
            "dark black gloomy",
            "darkness gloom night",
            "silence quiet stillness",
            "goodbye farewell",
            "challenge dare test",
            "promise vow pledge",
            "empty hollow vacant",
            "alone lonely solitary",
            "final last ultimate",
            "cold icy chilly",
            "tired weary exhausted",
            "happy glad cheerful",
            "sad unhappy blue",
            "grateful thankful",
            "lovely charming sweet",
            "funny silly amusing",
            "cook prepare make",
            "taste try sample",
            "share pass_on",
            "spicy hot fiery",
            "homemade home-cooked",
            "tasty delicious yummy",
            "fast quick rapid",
            "slow unhurried",
            "loud noisy",
            "quiet silent calm",
            "high tall shrill",
            "low deep",
            "big large huge",
            "tiny small little",
            "old ancient aged",
            "young youthful",
            "visit see tour",
            "explore discover",
            "leave depart",
            "photograph picture snap",
            "photo picture image",
            "win triumph",
            "lose forfeit",
            "beat defeat",
            "incredible amazing unbelievable",
            "dramatic thrilling",
            "tough hard difficult",
            "announce declare state",
            "deny dispute",
            "reject refuse",
            "approve accept",
            "investigate examine",
            "warn alert",
            "severe serious harsh",
            "public open",
            "official formal",
            "unexpected surprising sudden",
            "cure heal fix",
            "reduce lower cut",
            "boost raise improve",
            "natural organic pure",
            "miracle wonder",
            "pills tablets capsules",
            "doctor physician",
            "remedy treatment therapy",
            "love adore",
            "miss long_for",
            "remember recall",
            "thank appreciate",
            "laugh giggle",
            "party celebration bash",
            "kid child",
            "friend mate buddy",
            "house home place",
            "garden yard",
            "repair fix mend",
            "clean wash tidy_up",
            "build construct make",
            "broken damaged faulty",
            "install set_up",
            "launch start release",
            "delete erase remove",
            "free complimentary gratis",
            "smart clever bright",
            "song tune track",
            "concert gig show",
            "sing croon",
            "study learn",
            "explain clarify",
            "exam test",
            "boring dull tedious",
            "brilliant bright splendid",
            "legendary famous fabled",
            "rare scarce uncommon",
            "rescue save",
            "spot notice see",
            "stray homeless",
            "gentle mild soft",
            "tonight this_evening",
            "today this_day",
            "now at_once immediately",
            "everyone everybody all",
            "people folks",
            "here in_this_place",
            "look see watch",
            "think believe reckon",
            "need require want",
            "begin start",
            "red crimson scarlet",
            "blue azure navy",
            "green emerald lime",
            "yellow golden amber",
            "grey silver ashen",
            "speech talk",
            "music tunes",
            "car vehicle automobile",
            "shop store",
        )
    )
    for word in group
}


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SCRIPTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "latin": (
        _split("b br c ch d dr f fl g gr h j k kl l m n p pl pr qu r s sh st t tr v w z"),
        ("a", "e", "i", "o", "u", "ai", "ea", "io", "ou", "y"),
        ("", "", "", "n", "r", "s", "l", "t", "m", "nd", "ck", "x"),
    ),
    "accented": (
        _split("b c ç č d đ f g ğ h j k l ł m n ñ p r ř s š ş t v z ž"),
        _split("a á à ä â ã å e é è ê ë i í î ï o ó ö ô õ ø u ú ü û ı ą ę"),
        ("", "", "n", "s", "r", "l", "k", "m", "t", "ń"),
    ),
    "cyrillic": (tuple("бвгджзклмнпрстфхцчшщ"), tuple("аеёиоуыэюя"), ("", "", "н", "р", "с", "ть", "й", "м", "к")),
    "greek": (tuple("βγδζθκλμνξπρστφχψ"), (*"αεηιουωάέόή", "ου", "αι"), ("", "", "ς", "ν", "ρ")),
    "arabic": (tuple("بتثجحخدرزسشصطعغفقكلمنه"), (*"ايو", "", ""), ("", "", "ة", "ن", "ي")),
    "hebrew": (tuple("אבגדהזחטכלמנסעפצקרשת"), ("", "ו", "י", ""), ("", "ה", "ים", "ת")),
    "devanagari": (tuple("कखगघचजटडतदनपबमयरलवशसह"), (*"ािीुूेो", "", ""), ("", "", "ं", "न", "र")),
    "kana": (
        tuple("あいうえおかきくけこさしすせそたちつてとなにぬねのはひふほまみむもやゆよらりるれろわ"),
        ("", "ー"),
        ("", "", "ん"),
    ),
    "katakana": (
        tuple("アイウエオカキクケコサシスセソタチツテトナニネノハヒフホマミムモヤユヨラリルレロ"),
        ("", "ー"),
        ("", "", "ン"),
    ),
    "thai": (tuple("กขคงจชดตนบปพมยรลวสห"), (*"าิีุูเแ", ""), ("", "", "น", "ง")),
}
_RANGES = {"han": (0x4E00, 0x8FFF), "hangul": (0xAC00, 0xD7A3)}
SCRIPTS: tuple[str, ...] = ("latin",) * 12 + ("accented",) * 5 + ("cyrillic",) * 3 + (*_SCRIPTS, *_RANGES, "han")


def pseudo_word(random: Random, script: str = "latin") -> str:
    """A word that means nothing, of one to four syllables of a script of `SCRIPTS`."""
    if script in _RANGES:
        low, high = _RANGES[script]
        return "".join(chr(random.randint(low, high)) for _ in range(random.randint(1, 3)))
    onsets, vowels, codas = _SCRIPTS[script]
    choice = random.choice
    return "".join(choice(onsets) + choice(vowels) + choice(codas) for _ in range(random.randint(1, 3)))


@lru_cache(maxsize=2048)
def lexicon(seed: int) -> tuple[str, ...]:
    """The 160 words of an invented language; its script, Latin mostly, depends on the seed too."""
    random = Random(seed)
    script = random.choice(SCRIPTS)
    return tuple(pseudo_word(random, script) for _ in range(160))
