"""The national numbers that are known: their forms, their check digits, the words that announce them.

A form that little else has counts alone. A plain run of digits counts only beside its word, as a check digit lets one
number in ten pass by chance. Check digits are python-stdnum's wherever it has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from stdnum import luhn, verhoeff
from stdnum.at import vnr
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.ch import ssn as ahv
from stdnum.cl import rut
from stdnum.cz import rc
from stdnum.de import idnr as steuer_id
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.il import idnr as teudat_zehut
from stdnum.in_ import pan
from stdnum.iso7064 import mod_11_2
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.my import nric
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.nz import ird
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.si import emso
from stdnum.th import pin
from stdnum.tr import tckimlik
from stdnum.za import idnr as south_african_id


@dataclass(frozen=True)
class NationalNumber:
    """One kind of number. Without `words` its form counts alone; `check` is given what stands in the text."""

    sort: str
    form: str
    check: Callable[[str], bool]
    words: str = ""


def _digits(count: str) -> str:
    """So many digits, with a space, dot, dash or slash between any two."""
    least, _, most = count.partition("-")
    upper = int(most) - 1 if most else int(least) - 1
    return rf"\d(?:[ .\-/]?\d){{{int(least) - 1},{upper}}}"


def _compact(written: str) -> str:
    return re.sub(r"[ .\-/()]", "", written).upper()


def _checked(is_valid: Callable[[str], bool]) -> Callable[[str], bool]:
    """A check of stdnum, given the number without its separators."""
    return lambda written: bool(is_valid(_compact(written)))


def _is_ssn(written: str) -> bool:
    """Any area but 000: numbers from 900 are ITINs, and cancelled and advertised numbers count too."""
    digits = _compact(written)
    return digits[:3] != "000" and digits[3:5] != "00" and digits[5:] != "0000"


def _is_any(written: str) -> bool:
    return len(set(_compact(written))) > 2


def _is_ahv(written: str) -> bool:
    return bool(ahv.is_valid(_compact(written)))


def _is_nir(written: str) -> bool:
    """Corsica's 2A and 2B are handled by stdnum; the sample numbers of old forms have month 20 and above."""
    return bool(nir.is_valid(_compact(written)))


def _is_snils(written: str) -> bool:
    """Russia's pension insurance: nine digits weighed 9 to 1, modulo 101."""
    digits = _compact(written)
    total = sum((9 - at) * int(digit) for at, digit in enumerate(digits[:9])) % 101
    return total % 100 == int(digits[9:])


def _is_singapore(written: str) -> bool:
    """Weights 2 7 6 5 4 3 2, an offset by series, and a letter for each remainder of 11."""
    number = _compact(written)
    offset = {"S": 0, "T": 4, "F": 0, "G": 4, "M": 3}[number[0]]
    remainder = (sum(int(a) * b for a, b in zip(number[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True)) + offset) % 11
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}.get(number[0], "XWUTRQPNMLK")
    # Of the newest series the direction of the letters is told in two ways.
    return letters[remainder] == number[8] or (number[0] == "M" and letters[10 - remainder] == number[8])


def _is_taiwanese(written: str) -> bool:
    number = _compact(written)
    value = "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(number[0]) + 10
    weights = zip(number[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)
    return (value // 10 + value % 10 * 9 + sum(int(a) * b for a, b in weights)) % 10 == 0


def _is_hong_kong(written: str) -> bool:
    number = _compact(written)
    values = [36] * (9 - len(number)) + [int(sign, 36) for sign in number[:-1]]
    total = sum(weight * value for weight, value in zip(range(9, 1, -1), values, strict=True))
    return (total + (10 if number[-1] == "A" else int(number[-1]))) % 11 == 0


def _is_aadhaar(written: str) -> bool:
    return bool(verhoeff.is_valid(_compact(written))) and _is_any(written)


def _is_cnic(written: str) -> bool:
    return written[0] in "1234567"


def _is_medicare(written: str) -> bool:
    """Australia's: the ninth digit checks the eight before it."""
    digits = _compact(written)
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    return sum(int(a) * b for a, b in zip(digits[:8], weights, strict=True)) % 10 == int(digits[8])


def _is_argentine(written: str) -> bool:
    return _is_any(written)


SURE = (
    NationalNumber("us-ssn", r"\d{3}-\d\d-\d{4}", _is_ssn),
    NationalNumber("gb-nino", r"(?:QQ|[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z])[ -]?\d\d(?:[ .-]?\d\d){2}[ .-]?[A-D]",
                              _is_any),
    NationalNumber("it-codice-fiscale",
    r"[A-Z]{3}[ ]?[A-Z]{3}[ ]?[\dL-NP-V]{2}[A-EHLMPR-T][\dL-NP-V]{2}[ ]?[A-Z][\dL-NP-V]{3}[A-Z]",
                   _checked(codicefiscale.is_valid)),
    NationalNumber("es-dni", r"\d\d[. ]?\d{3}[. ]?\d{3}[ -]?[A-HJ-NP-TV-Z]", _checked(dni.is_valid)),
    NationalNumber("es-nie", r"[XYZ][ -]?\d\.?\d{3}\.?\d{3}[ -]?[A-HJ-NP-TV-Z]", _checked(nie.is_valid)),
    NationalNumber("fr-nir", r"[1278][ .-]?\d\d[ .-]?\d\d[ .-]?(?:\d\d|2[AB])[ .-]?\d{3}[ .-]?\d{3}[ .-]?\d\d",
        _is_nir),
    NationalNumber("br-cpf", r"\d{3}\.\d{3}\.\d{3}-\d\d", _checked(cpf.is_valid)),
    NationalNumber("ch-ahv", r"756[. ]?\d{4}[. ]?\d{4}[. ]?\d\d", _is_ahv),
    NationalNumber("be-nn", r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", _checked(nn.is_valid)),
    NationalNumber("cn-ric", r"[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d{4}[\dX]", _checked(mod_11_2.is_valid)),
    NationalNumber("kr-rrn", r"\d\d[01]\d[0-3]\d-[1-8]\d{6}", _checked(rrn.is_valid)),
    NationalNumber("mx-curp", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d", _checked(curp.is_valid)),
    NationalNumber("fi-hetu", r"[0-3]\d[01]\d{3}[-+A-F]\d{3}[\dA-Y]", lambda text: bool(hetu.is_valid(text))),
    NationalNumber("se-personnummer", r"(?:19|20)?\d\d[01]\d[0-3]\d[-+]\d{4}",
        lambda text: bool(personnummer.is_valid(text))),
    NationalNumber("in-pan", r"[A-Z]{3}[ABCFGHLJPTK][A-Z]\d{4}[A-Z]", _checked(pan.is_valid)),
    NationalNumber("sg-nric", r"[STFGM]\d{7}[A-Z]", _is_singapore),
    NationalNumber("cl-rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", _checked(rut.is_valid)),
    NationalNumber("hk-id", r"[A-Z]{1,2}\d{6}\([\dA]\)", _is_hong_kong),
    NationalNumber("my-nric", r"\d\d[01]\d[0-3]\d-\d\d-\d{4}", _checked(nric.is_valid)),
    NationalNumber("pk-cnic", r"\d{5}-\d{7}-\d", _is_cnic),
    NationalNumber("th-pin", r"\d-\d{4}-\d{5}-\d\d-\d", _checked(pin.is_valid)),
    NationalNumber("cz-rc", r"\d\d[0-35-8]\d[0-3]\d/\d{3,4}", _checked(rc.is_valid)),
    NationalNumber("tw-id", r"[A-Z][1289]\d{8}", _is_taiwanese),
    NationalNumber("ru-snils", r"\d{3}-\d{3}-\d{3} \d\d", _is_snils),
    NationalNumber("de-rvnr", r"\d\d[ ]?[0-3]\d[01]\d{3}[ ]?[A-Z][ ]?\d{3}", _is_any),
)  # fmt: skip
"""Forms that count alone."""

_TAX = r"tax|fiscal"
BY_WORD = (
    NationalNumber("us-ssn", _digits("9"), _is_ssn, r"\bssn\b|\bsocial\b|\bss ?#|\bitin\b|\btin\b"),
    NationalNumber("gb-nino", r"[A-Za-z]{2}[ -]?\d\d(?:[ .-]?\d\d){2}[ .-]?[A-Da-d]", _is_any, r"national insurance"
        r"|\bnino?\b"),
    NationalNumber("gb-nhs", _digits("10"), _checked(nhs.is_valid), r"\bnhs\b"),
    NationalNumber("de-steuer-id", _digits("11"), _checked(steuer_id.is_valid),
                   r"steuer|einkommensteuer|\bid-?nr\b|identifikationsnummer|\btin\b|tax"),
    NationalNumber("de-ausweis", r"[LMNPRTVWXYlmnprtvwxy][\dA-Za-z]{8}\d?", _is_any, r"\bausweis|personalausweis"
        r"|identity card"),
    NationalNumber("nl-bsn", _digits("8-9"), _checked(bsn.is_valid), r"\bbsn\b|burgerservice|sofi|citizen service"),
    NationalNumber("pl-pesel", _digits("11"), _checked(pesel.is_valid), r"\bpesel\b"),
    NationalNumber("in-aadhaar", _digits("12"), _is_aadhaar, r"aadha+r|\buidai\b|आधार"),
    NationalNumber("au-tfn", _digits("8-9"), _checked(tfn.is_valid), r"\btfn\b|\btax\b"),
    NationalNumber("au-medicare", r"[2-6]\d{3}[ -]?\d{5}[ -]?\d(?:[ /-]?\d)?", _is_medicare, r"\bmedicare\b"),
    NationalNumber("ca-sin", _digits("9"), _checked(luhn.is_valid), r"\b(?-i:SIN)\b|social insurance|\bnas\b"
        r"|assurance sociale"),
    NationalNumber("pt-nif", _digits("9"), _checked(nif.is_valid), r"\bnif\b|contribuinte|\btax\b|fiscal"),
    NationalNumber("ie-pps", r"\d{7}[A-Wa-w][A-IWa-iw]?", _checked(pps.is_valid), r"\bppsn?\b|personal public service"),
    NationalNumber("at-svnr", _digits("10"), _checked(vnr.is_valid), r"sozialversicherung|versicherung|\bsvnr\b"
        r"|\bsv-?nr|versicherungsnummer"),
    NationalNumber("za-id", _digits("13"), _checked(south_african_id.is_valid), r"\bid\b|identity|south african"),
    NationalNumber("il-id", _digits("9"), _checked(teudat_zehut.is_valid), r"\bteudat|\bisraeli id|ת\.?ז|זהות|\bid\b"),
    NationalNumber("tr-tckn", _digits("11"), _checked(tckimlik.is_valid), r"kimlik|\btckn\b|\bt\.?c\.? "),
    NationalNumber("ro-cnp", _digits("13"), _checked(cnp.is_valid), r"\bcnp\b"),
    NationalNumber("bg-egn", _digits("10"), _checked(egn.is_valid), r"\begn\b|\bегн\b"),
    NationalNumber("hr-oib", _digits("11"), _checked(oib.is_valid), r"\boib\b"),
    NationalNumber("ee-isikukood", _digits("11"), _checked(ik.is_valid), r"isikukood|asmens|personal code"),
    NationalNumber("gr-amka", _digits("11"), _checked(amka.is_valid), r"\bamka\b|αμκα"),
    NationalNumber("no-fnr", _digits("11"), _checked(fodselsnummer.is_valid), r"fødselsnummer|personnummer|\bfnr\b"
        r"|national id"),
    NationalNumber("dk-cpr", r"\d{6}[ -]?\d{4}", _checked(cpr.is_valid), r"\bcpr\b|personnummer"),
    NationalNumber("se-personnummer", r"(?:\d\d)?\d{6}[ -]?\d{4}", _checked(personnummer.is_valid),
        r"personnummer|personal number|personal identity"),
    NationalNumber("nz-ird", _digits("8-9"), _checked(ird.is_valid), r"\bird\b"),
    NationalNumber("si-emso", _digits("13"), _checked(emso.is_valid), r"\bem[sš]o\b|\bjmbg\b"),
    NationalNumber("br-cpf", _digits("11"), _checked(cpf.is_valid), r"\bcpf\b"),
    NationalNumber("ch-ahv", _digits("13"), _is_ahv, r"\bahv\b|\bavs\b"),
    NationalNumber("es-dni", r"\d{8}[ -]?[A-Za-z]", _checked(dni.is_valid), r"\bdni\b|\bnif\b"),
    NationalNumber("es-nie", r"[XYZxyz][ -]?\d{7}[ -]?[A-Za-z]", _checked(nie.is_valid), r"\bnie\b"),
    NationalNumber("ar-dni", r"\d{1,2}\.?\d{3}\.?\d{3}", _is_argentine, r"\bdni\b|documento|cédula|\bcedula\b"
        r"|identity card"),
    NationalNumber("it-codice-fiscale", r"[A-Za-z]{6}\d\d[A-Za-z]\d\d[A-Za-z]\d{3}[A-Za-z]",
        _checked(codicefiscale.is_valid),
                   r"codice fiscale|\bc\.?f\.?\b|tax code|fiscal code"),
    NationalNumber("in-pan", r"[A-Za-z]{5}\d{4}[A-Za-z]", _checked(pan.is_valid), r"\bpan\b"),
    NationalNumber("jp-my-number", _digits("12"), _is_any, r"mynumber|my number card|マイナンバー|個人番号"),
    NationalNumber("id-nik", r"\d{16}", _is_any, r"\bnik\b|\bktp\b"),
    NationalNumber("be-nn", _digits("11"), _checked(nn.is_valid), r"rijksregister|registre national|national register"),
    NationalNumber("th-pin", _digits("13"), _checked(pin.is_valid), r"thai|บัตรประชาชน"),
    NationalNumber("passport", r"(?:[A-Z]{1,2}[ ]?|[a-z]{1,2})?\d{6,9}|[A-Za-z]\d{2}[ ]?\d{5,7}"
                               r"|[CFGHJKcfghjk][\dA-Za-z]{7}\d", _is_any,
                   r"passport|reisepass|passeport|pasaporte|passaporto|paspoort|paszport"),
    NationalNumber("driving-licence", r"[A-Z]{1,5}[\dA-Z]{0,5}(?:[ -]?\d[\dA-Z]{2,}){1,4}|\d{7,10}", _is_any,
                   r"driv\w+[' ]?s? licen[cs]e|licen[cs]e number|führerschein|permis de conduire|\bdl (?:number|no|#)"),
)  # fmt: skip
"""Forms that need one of their words nearby."""
