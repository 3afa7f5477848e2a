"""The encodings that captions come in beside UTF-8, and how likely each one's readers write what it reads."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

# What people write most in each script, by rough frequency and by what stands in pictures; the rest is rated by the
# levels of the scripts' own standards. Korean and the alphabets are here to be told from Chinese, whose bytes they use.
COMMON_CHINESE = frozenset(
    "的一是不了在有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没"
    "日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美"
    "点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东海口使教西再平真听世气信北少关"
    "并内加化由代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更"
    "反合放做系计或司利受光王果亲界及今京制解各任至清物台象记边共风战干接它许八特觉望直服毛林题建南度统色字请交爱让认算论百吃"
    "科怎元社术结六功指思非流每青管夫连远队跟带花快条院变联言往展领传近留红决周保达办运武半候七必城父强步完深区即求品士转量空"
    "众技轻程告江语英基满式李写识极令黄德收脸钱未持取设始版双历越史商千片容像找友孩站广改形早房音火际首单影失拿网香石若兵弟谁"
    "校读志飞观包组造落视喜离低猫狗鸟鱼虎龙兔熊牛羊鹿狐狼短粉紫绿蓝黑灰棕橙银裙衫裤鞋帽袜睛嘴唇鼻耳脚腿臂胸腰肩背坐躺跑跳睡男"
    "云雪雨夜星阳草树叶园森滩湖河桥楼街室墙窗床椅桌杯刀剑枪翼尾器照画漫景模糊肖仰俯丝戴穿抱辫卷侧木土衣镜玩具械微户沙冬夏春秋"
    "卡型帘拥吻哭怒惊羞汗泪血翅膀蝴蝶浪泳仙娘萝莉姐妹爸妈宝娃熟胡须眉额颈链饰蕾裸露透肤粗瘦胖帅酷萌装甲盔盾杖焰烟雾冰彩虹灯烛"
    "毯枕浴池泉寺塔堡宫殿店咖啡茶酒蛋糕鸡苹樱桃莲玫瑰竹枫约篇幅束扎披散刘环项圈围巾套戒油妆"
)
_COMMON_KANJI = frozenset(
    "長短髪目青赤黒白金銀茶緑紫桃黄色少女男子人一二三四五猫犬鳥花空海山森夜朝夕星月雪雨風光影笑顔座立寝走見手足耳口肩胸背景室"
    "内屋外学校制服着物帽靴帯刀剣翼羽尾獣機械車道街窓床椅机本文字絵写真画像全身上下左右前後正面横中大小高低新古日年時分生先行"
    "来出入会話言語国家東西南北京水火木土石草葉桜枝川池湖橋駅電気楽音食飲料理肉魚野菜果酒間今何名作品美持良悪好愛心思考知事仕"
    "業方法的部店町村市区王姫騎士魔兵戦闘飛船世界同自社発者地動対実現力用体私彼問題第開関近強書最度意点通明元太天田代合回場員"
    "数当定所無向特別形安原表記親友切重抱眼鏡鬼神巫狐狼兎熊竜馬牛虎毛巻結若老幼父母兄弟姉妹公園建門庭階段"
)
_COMMON_HANGUL = frozenset(
    "이다는을의에가고하은지로자기한사리도서어아라를나인시대그으들해일제부정스장수있니오만상보여적주전것었동공구소조원비면과와"
    "유계무게없생미내안우모거경성신양개선물방진화연세마학드야요트러던저점처음데며려호토위발실분문후말명영중파식날더때못바반받"
    "되된될강년관교국노당배백불산석속송설심알열왕외용운월임입작재종직집차천철청초최추치카크타태터테통특편평포표프피필합항행향"
    "현형활황회흰검빨란색머눈옷꽃달별밤낮늘녀얼굴웃앉긴짧갈금홍록"
)
_COMMON_LETTERS = frozenset(
    "оеаинтсрвлкмдпуяызьбгчйі"  # Cyrillic
    "اليمنرتوبةدسعهفك"  # Arabic
    "านรอกเงมยลวดทสตะปบคหแจผู่้ีึิำัุ"  # Thai
)
_CJK_MARKS = frozenset("，。、：；！？（）「」『』【】《》“”‘’…—・ー～\u3000")

# Letters that Windows-1252 shares with its Central European, Baltic and Turkish sisters, or whose neighbours rule the
# sister's letter out: Spanish "niña" but Polish "dłoń", French "lumière" but Slovene "večer". Marks where they belong.
_WESTERN = re.compile(
    r"""(?=[^\x00-\x7f])(?:
      (?<=[A-Za-zäöü])[äéóôöúüßå] | [äéóôöúüåÄÉÖÜÁÓÅ](?=[a-z]) | (?<=[A-Z])[ÄÉÖÜÁÓ]
    | (?<=[a-z])í(?!i) | (?<=[a-z])á(?=[a-z]) | (?<=\best)á\b
    | ñ(?=[aeiouáéíóú]) | ã(?=[oe]) | ç(?=[aou]) | (?<=[aioe])ë | (?<=[oa])î(?=t) | (?<=gr)â(?=c) | (?<=ch)â(?=t)
    | (?<=a)ï(?=v) | \bà\b | (?<=\bl)à\b | (?<=\bvoil)à\b | (?<=\bdéj)à\b
    | (?<=[cfsnvm])œ(?=u) | (?<=o)ù\b | (?<=[br])û(?=l) | (?<=o)û(?=t)
    | (?<=[bcdfghjlmnprstuv])è(?=[cdfglmprstv]{1,2}e|nes?\b|ques?\b|s\b) | (?<=i)è(?=[crgtvm]r?e|cle)
    | (?<=[tfbnuv])ê(?=te|tre) | (?<=[ré])ê(?=[vm]e) | (?<=m)ê(?=me) | \bê(?=tre)
    | (?<=[bdfghjklmnprsv])ø(?=[bcdfghjklmnprstv]) | (?<=[bcdfghjklmnprstv])æ(?=[bdfgklmnrtv])
    | (?<=\w)’(?=\w) | (?<=\S)[’”](?!\w) | (?<!\w)‘(?=\w{3}|\w[^‘]*’) | (?<!\w)“(?=\w{3}|\w[^“]*”)
    | (?<!\w)„(?=[^„]*[“”]) | «(?=[\s\w][^«]*») | (?<=[\s\w.!?])» | \xa0(?=[:;!?»]) | (?<=«)\xa0
    | (?<=\s)[–—](?=\s) | (?<=[a-z])—(?=[a-z]) | (?<=\d)[–°](?!\w) | (?<=\d)[–×](?=\d) | [€£](?=\d)
    | [¿¡](?=[A-Z]) | (?<=\w)…(?!\w)
    )""",
    re.VERBOSE,
)
_SCRIPT_CHANGE = re.compile(r"[A-Za-z][^\x00-\x7f]|[^\x00-\x7f][A-Za-z]")
_SCRIPT_CHANGE_BITS = 9


@dataclass(frozen=True, slots=True)
class KnownEncoding:
    """A way to read bytes."""

    codec: str
    name: str
    """As people know it; empty for one that is only here to be told from the others and is never read."""
    bits: Callable[[str], float]
    """-log2 of how often a character that is not ASCII occurs in what people write so."""
    rarity: float
    """-log2 of how often captions come in it, compared with the most frequent ones."""

    def may_be(self, text: str) -> bool:
        """Whether everything in what was read stands where people write it."""
        return self.bits is not _western_bits or _WESTERN.sub("", text).isascii()


def rated(sample: bytes, encoding: KnownEncoding, is_cut: bool) -> float:
    """-log2 of how likely this reading is: the sum over its characters, each by itself; infinite if it cannot be.

    A change between Latin letters and another script inside a word costs extra: "v龤ky" is Czech misread.
    """
    text = decoded(sample, encoding.codec, is_cut)
    if text is None or not encoding.may_be(text):
        return float("inf")
    counts = Counter(text)
    bits = sum(number * (_ascii_bits(c) if c.isascii() else encoding.bits(c)) for c, number in counts.items())
    is_latin = encoding.bits in (_western_bits, _unknown_bits)
    return encoding.rarity + bits + (0 if is_latin else _SCRIPT_CHANGE_BITS * len(_SCRIPT_CHANGE.findall(text)))


def decoded(data: bytes, codec: str, is_cut: bool) -> str | None:
    """The text, or None where it is not in this encoding; of cut data without the character the cut went through."""
    try:
        return codecs.getincrementaldecoder(codec)("strict").decode(data, not is_cut)
    except UnicodeDecodeError:
        return None


def _ascii_bits(character: str) -> float:
    return 5 if character.isalnum() or character in " ,.-\n" else 9


def _chinese_bits(character: str) -> float:
    return 9.5 if character in COMMON_CHINESE else _ideograph_bits(character, "gb2312", range(0xB0, 0xD8))


def _japanese_bits(character: str) -> float:
    if "\u3041" <= character <= "\u3096":
        return 7.5
    if "\u30a1" <= character <= "\u30fc":
        return 8.5
    return 11 if character in _COMMON_KANJI else _ideograph_bits(character, "shift_jis", range(0x88, 0x99))


def _korean_bits(character: str) -> float:
    if character in _COMMON_HANGUL:
        return 8.5
    return 12 if 0xB0 <= _lead_byte(character, "euc_kr") <= 0xC8 else _ideograph_bits(character, "euc_kr", range(0))


def _ideograph_bits(character: str, standard: str, first_level: range) -> float:
    """By what a standard's authors found common: its first level, its second, everything else."""
    if character in _CJK_MARKS:
        return 8
    if not "\u4e00" <= character <= "\u9fff":
        return 13 if "\uff01" <= character <= "\uff5e" else 26
    lead = _lead_byte(character, standard)
    return 14 if lead in first_level else 19 if lead else 20.5


def _lead_byte(character: str, standard: str) -> int:
    try:
        return character.encode(standard)[0]
    except UnicodeEncodeError:
        return 0


def _alphabet_bits(character: str) -> float:
    """Of a letter among some thirty."""
    if character in _COMMON_LETTERS:
        return 5
    return 8.5 if unicodedata.category(character)[0] in "LM" else 11


def _western_bits(character: str) -> float:
    """Few, since `_WESTERN` leaves each character few places to stand."""
    return 3


def _unknown_bits(character: str) -> float:
    """Of any other 8-bit alphabet, read as Latin-1: letters lie above the few marks. It also stands for Big5."""
    return 7 if character >= "\xa0" else 9


KNOWN_ENCODINGS = (
    KnownEncoding("gb18030", "GB18030", _chinese_bits, 0),
    KnownEncoding("cp932", "Shift-JIS", _japanese_bits, 0),
    KnownEncoding("cp1252", "Windows-1252", _western_bits, 0),
    KnownEncoding("euc_jp", "", _japanese_bits, 1),
    KnownEncoding("cp949", "", _korean_bits, 2),
    KnownEncoding("koi8_r", "", _alphabet_bits, 2),
    KnownEncoding("cp1256", "", _alphabet_bits, 5),
    KnownEncoding("cp874", "", _alphabet_bits, 5),
    KnownEncoding("latin-1", "", _unknown_bits, 2),
)
