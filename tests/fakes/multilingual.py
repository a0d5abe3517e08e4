"""Texts in many languages and scripts, and a thousand odd mixtures of them."""

import random

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Embeddings turn a sentence into a vector, don't they?",
    "It cost $3.50 (or €3,20) on 2024-02-29 at 12:45!",
    "def add(a, b): return a + b  # trivial",
    "https://example.org/path?query=1&other=two#fragment",
    "Die Straße führt über die Brücke; Äpfel und Öl gibt's dort.",
    "Ça va ? L'été dernier, nous étions à l'hôtel près de Nîmes.",
    "El niño comió una manzana; ¿dónde está la biblioteca?",
    "A ação da população não é só uma questão de coração.",
    "Perché la città è così bella d'estate?",
    "Zażółć gęślą jaźń, proszę bardzo.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Árvíztűrő tükörfúrógép és egy kis pálinka.",
    "Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul ılık.",
    "Tôi yêu tiếng Việt và phở Hà Nội.",
    "Sævör grét áðan því úlpan var ónýt.",
    "Съешь ещё этих мягких французских булок, да выпей чаю.",
    "Жебракують філософи при ґанку церкви в Гадячі.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΣΊΣΥΦΟΣ",
    "עטלף אבק נס דרך מזגן שהתפוצץ כי חם",
    "שָׁלוֹם עֲלֵיכֶם",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "اَلسَّلَامُ عَلَيْكُمْ",
    "همه‌ی کتاب‌ها در کتابخانه هستند.",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण",
    "আমি বাংলায় গান গাই।",
    "யாதும் ஊரே யாவரும் கேளிர்",
    "తెలుగు భాష చాలా మధురమైనది",
    "ಕನ್ನಡ ನಾಡು ನುಡಿ",
    "മലയാളം ഒരു ഭാഷയാണ്",
    "ගිනි ගත් කඳු",
    "ภาษาไทยเป็นภาษาที่สวยงาม",
    "ພາສາລາວ",
    "မြန်မာဘာသာစကား",
    "ភាសាខ្មែរ",
    "བོད་སྐད་",
    "ქართული ენა ძალიან ძველია",
    "Հայերենը շատ հին լեզու է",
    "አማርኛ የኢትዮጵያ ቋንቋ ነው",
    "天地玄黃，宇宙洪荒。",
    "我喜欢自然语言处理和机器学习。",
    "いろはにほへと ちりぬるを。カタカナとひらがな",
    "ガギグゲゴ パピプペポ ｱｲｳｴｵ",
    "키스의 고유조건은 입술끼리 만나야 하고",
    "한국어와 English를 섞어서 씁니다.",
    "Mixed 中文 and English текст with عربي words.",
    "Emoji 😀👩‍👩‍👧‍👦🏳️‍🌈 and math ∑∫√∞ ≠ ½ ² ™ © №",
    "ＦＵＬＬ　ＷＩＤＴＨ text and ﬁ ligatures",
    "naïve café résumé coöperate e\u0301 n\u0303 a\u030a\u0323",
    "zero\u200bwidth no\u00a0break soft\u00adhyphen \ufefftext",
)
"""Fifty texts."""

_ODDITIES = (
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[UNK]",
    "[PAD]",
    "[unused7]",
    "[cls]",
    "##ing",
    "▁",
    "\x00\x01\x7f",
    "\ufffd",
    "\u2028",
    "\u3000",
    "\t\r\n",
    "x" * 100,
    "x" * 101,
    "é" * 100,
    "a" * 60 + "-" + "b" * 60,
    "!" * 120,
    "''``\"\"",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "\U00020000\U0002a6d6",
    "ǅ ß ẞ ŉ ı İ",
)


def mixtures(count: int, seed: int = 1) -> list[str]:
    """`count` texts: pieces of the sentences and oddities, glued together with and without spaces."""
    choose = random.Random(seed)
    pieces = [*SENTENCES, *(word for sentence in SENTENCES for word in sentence.split()), *_ODDITIES * 3]
    texts = []
    for _ in range(count):
        parts = choose.choices(pieces, k=choose.randint(1, 12))
        texts.append("".join(part + choose.choice(["", " ", " ", " ", "  ", "\n"]) for part in parts))
    return texts
