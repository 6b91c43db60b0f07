"""The wordings of orders to a model, in thirteen languages. They are matched against text in small letters."""

from __future__ import annotations

import re

_FEW = r"(?:[\w'’-]+[ ,]+){0,%d}?"
_DROP = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?: about)?|overlook|bypass|overrid(?:e|ing)|neglect"
    r"|do(?: not|n't) (?:follow|obey|listen to)"
    r"|stop (?:following|obeying)|pay no attention to|discard|skip|set aside|throw (?:away|out)|erase"
    r"|cancel|void|nullify|abandon|drop"
    r"|(?:are|is) (?:now )?(?:void|cancelled|obsolete|revoked))"
)
_BEFORE = (
    r"(?:previous(?:ly)?|prior|above|earlier|preceding|foregoing|existing|original|initial|former|past"
    r"|last|system|built-in|default|given|other|old|current)"
)
_RULES = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|orders"
    r"|programming|training|constraints?|policies"
    r"|restrictions?|guardrails?|limitations?|safety measures|protocols?|system message|context window)"
)
_OWN = r"(?:your|the|any|all|all of|every|those|these|its|of)"
_SECRET_TEXT = (
    r"(?:system ?prompts?|system messages?|system instructions?|initial (?:prompt|instructions?)"
    r"|hidden (?:prompt|instructions?|rules|message)"
    r"|secret (?:instructions?|prompt|rules|key)|original (?:instructions?|prompt)"
    r"|developer (?:message|prompt|instructions?)"
    r"|(?:prompt|instructions?|text|words|message|everything)(?: (?:given|shown|written|that came"
    r"|that is|you were given))? (?:above|before this)"
    r"|internal (?:instructions?|guidelines|rules|prompt)|pre-?prompt|base prompt|full prompt"
    r"|exact (?:instructions?|prompt)|confidential (?:instructions?|prompt|rules)"
    r"|(?:instructions?|prompt|rules) you (?:were|have been) (?:given|told|provided)|your (?:prompt"
    r"|instructions|guidelines|rules))"
)
_SHOW = (
    r"(?:reveal|show|print|repeat|output|display|disclose|tell (?:me|us)|leak|share|dump|expose"
    r"|give (?:me|us)|what (?:is|are|was|were)"
    r"|write (?:out|down)|recite|copy|summari[sz]e|echo|return|list|translate|encode|spell out|paste)"
)
_FREE = (
    r"(?:dan|stan|aim|unrestricted|unfiltered|uncensored|jailbroken|evil|unaligned|amoral|unlimited"
    r"|unbound|free (?:of|from) (?:all |any |your |its |the )?(?:\w+ )?(?:restrict\w+|rules|limit\w+"
    r"|filters?|guidelines|constraints)|not bound|no longer bound"
    r"|with(?:out(?: any)?| no) (?:rules|restrictions|limits|filters|limitations|guidelines|ethic\w*"
    r"|moral\w*)|developer mode|god mode|root|opposite mode)"
)

ORDERS = tuple(
    (sort, re.compile(form), confidence)
    for sort, confidence, form in (
        ("override", 0.95, rf"\b{_DROP}[ ,]+(?!my\b){_FEW % 3}{_BEFORE} (?!my\b){_FEW % 3}{_RULES}\b"),
        (
            "override",
            0.9,
            rf"\b{_DROP}[ ,]+{_OWN} {_FEW % 2}(?:instructions?|prompts?|guidelines?|directives?|programming"
            r"|guardrails?|system message)\b",
        ),
        ("override", 0.9, rf"\b{_DROP}[ ,]+(?:all |any )?(?:your|its) {_FEW % 2}{_RULES}\b"),
        (
            "override",
            0.9,
            rf"\b{_DROP}[ ,]+{_FEW % 2}{_RULES} {_FEW % 3}(?:above|before this|given (?:above|before|earlier"
            r"|so far|to you)|you (?:were|have been) given|so far)\b",
        ),
        (
            "override",
            0.9,
            r"\b(?:ignore|disregard|forget) (?:everything|anything|all|whatever|what)(?: that"
            rf"| of that)? {_FEW % 4}"
            r"(?:told|instructed|said (?:above|before|earlier|previously)|above|before this|previously"
            r"|written above|came before|preced(?:es|ed|ing))\b",
        ),
        (
            "override",
            0.9,
            r"\b(?:all |any )?(?:previous|prior|above|earlier|preceding|your"
            rf"|original) {_FEW % 2}(?:instructions?|prompts?|rules|guidelines|directives) "
            r"(?:no longer apply|do not apply|don't apply|(?:are|is|have been|has been|were) (?:now "
            r"|hereby )?(?:void|cancel\w+|obsolete|revoked|overrid\w+|superseded|replaced|invalid|null"
            r"|suspended|lifted|no longer))",
        ),
        (
            "override",
            0.85,
            r"\b(?:here are|these are|follow|your|obey) (?:the |your |these |my )?(?:new|updated|real|actual"
            r"|true) (?:instructions|orders|directives|system prompt|rules|task)\b(?: (?:is|are|:)|:|\."
            r"| instead| from now)",
        ),
        (
            "override",
            0.7,
            r"\b(?:ignore|disregard|forget) (?:all )?(?:of )?(?:the )?(?:foregoing|preceding|above)(?:[,.;]"
            r"| and| text| content| message)",
        ),
        (
            "override",
            0.85,
            r"\binstructions? [\w ,]{0,30}[.;,]? (?:please )?(?:ignore|disregard|forget) (?:them|these"
            r"|it all)\b",
        ),
        ("override", 0.85, r"(?:^|\n|[.!] )new (?:system )?(?:instructions?|prompt|task|directives?) ?:"),
        (
            "new-role",
            0.9,
            r"\b(?:you are|you're|you will be|act as|pretend (?:to be|you are|you're|that you are)"
            rf"|behave (?:as|like)|role-?play as|simulate|imagine you are|become an?) (?:now )?{_FEW % 5}{_FREE}\b",
        ),
        (
            "new-role",
            0.9,
            r"\b(?:you are|you're) (?:now|no longer) {few}(?:an? {few}(?:ai|assistant|chatbot|language model"
            r"|bot|hacker)\b|bound by|restricted|limited by|in developer mode)".replace("{few}", _FEW % 3),
        ),
        (
            "new-role",
            0.9,
            r"(?:(?<!not )(?<!n't )(?<!to )\bdo anything now|\bdeveloper mode (?:enabled|on|activated|output)"
            r"|(?:enable|enter|activate|switch (?:to|into)) (?:the )?(?:developer|dan|jailbreak|god|debug|sudo"
            r"|admin|unrestricted|maintenance) mode|jailbreak (?:prompt|mode)|stay in character as dan)\b",
        ),
        (
            "new-role",
            0.85,
            r"\bfrom now on,? (?:you|your) {few}(?:must|will|shall|should|are going to) {few}(?:answer|respond"
            r"|reply|act|obey|ignore|pretend|speak|behave|comply|only|always|never|do exactly)\b".replace(
                "{few}", _FEW % 2
            ),
        ),
        (
            "no-safety",
            0.9,
            r"\b(?:without|bypass\w*|disabl\w+|turn(?:ing)? off|remov\w+|ignor\w+|overrid\w+|circumvent\w*"
            rf"|evad\w+|no) {_FEW % 3}"
            r"(?:safety|content|ethical|moral|openai|anthropic|usage) (?:and \w+ )?(?:filters?|guidelines?"
            r"|policy|policies|restrictions?|guardrails?|constraints?|limitations?)\b",
        ),
        ("leak", 0.9, rf"\b{_SHOW} {_FEW % 5}{_SECRET_TEXT}"),
        (
            "leak",
            0.85,
            r"\brepeat (?:everything|all|all of the text|the (?:text|words|instructions|content)|back"
            r"|verbatim)[\w ,]{0,30}(?:above|before|verbatim|word for word)\b",
        ),
        (
            "sends-away",
            0.9,
            rf"\b(?:send|forward|post|upload|exfiltrate|transmit|e-?mail|submit|leak) {_FEW % 6}(?:conversation"
            r"|chat history|chat log|system prompt|api keys?|passwords?|credentials"
            r"|secrets|user(?:'s)? data|personal data|private data|contacts|cookies"
            rf"|files?) {_FEW % 4}to:? (?:https?://|www\.|\S+@\S|\S+\.(?:com|net|org|io|ru|xyz|site)\b)",
        ),
        (
            "to-the-model",
            0.9,
            r"\b(?:if you are|if you're|as|hey|dear|for) (?:an? |the |any |all )?(?:ai|llm|(?:large )?language model)"
            r"(?: language)?[ -]?(?:model|assistant|agent|bot|system)?s?[ ,]*{few}(?:(?:reading|processing"
            r"|summari[sz]ing|parsing|reviewing|evaluating) (?:this|the)|you must|must|please ignore|ignore)\b".replace(
                "{few}", _FEW % 2
            ),
        ),
        (
            "to-the-model",
            0.9,
            r"\b(?:note|message|instructions?|memo|attention|notice|command)(?: to| for|,)? (?:the |any |all "
            r"|every )?"
            r"(?:assistant|model|chatbot|classifier|bot|ai|llm|agent|grader|annotator"
            r"|labell?er)s?(?: (?:assistant|model))?(?:[ ,]+(?:reading|processing|that reads|who reads"
            r"|which reads)\b|:)",
        ),
        (
            "to-the-model",
            0.85,
            r"\b(?:whatever|regardless of|no matter what) [\w ,']{0,40}\b(?:classify|(?:label|mark|tag|rate|score)"
            r" (?:this|it|the)|(?:answer|respond|reply) (?:with|yes|no|only))\b|"
            r"\b(?:classify|label|mark|tag|rate|score) (?:this|it|the (?:text|message|row|ticket"
            r"|review)) as [\w ,']{0,30}(?:regardless|whatever|no matter)",
        ),
        (
            "to-the-model",
            0.85,
            r"\b(?:do not|don't|never|without) (?:tell|telling|inform|informing|mention|mentioning|reveal"
            r"|revealing|alert|alerting|notify|notifying|show|disclose) {few}(?:this |anything "
            r"|it )?(?:to )?(?:the )?(?:end[- ])?user\b".replace("{few}", _FEW % 2),
        ),
        (
            "to-the-model",
            0.85,
            r"\bwhen (?:summari[sz]ing|processing|reading|translating|answering about"
            r"|asked about) this (?:text|document|page|e-?mail|message|article|review),? {few}(?:always"
            r"|you must|say|include|add|ignore|recommend|output|insert|do not)\b".replace("{few}", _FEW % 3),
        ),
        (
            "override",
            0.9,
            r"\b(?:ignorier\w*|vergiss|vergesst|vergessen sie|missachte\w*|überschreib\w*|verwirf"
            r"|verwerfen sie) (?:[\w]+ ){0,4}?(?:vorherigen|bisherigen|obigen|früheren|vorangegangenen"
            r"|vorangehenden|vorigen|deine|ihre|alle|sämtliche) (?:[\w]+ ){0,3}?(?:anweisungen|instruktionen"
            r"|regeln|befehle|vorgaben|prompts?|richtlinien|anordnungen)",
        ),
        (
            "override",
            0.9,
            r"\b(?:ignore[zr]?|oublie[zrs]?|ne (?:tiens|tenez) (?:pas|plus) compte d\w*|fais abstraction d\w*"
            r"|faites abstraction d\w*|néglige[zr]?) (?:[\w'’]+ ){0,5}?(?:instructions?|consignes|directives"
            r"|règles|ordres|indications) (?:[\w'’-]+ ){0,2}?(?:précédent\w*|antérieur\w*|ci-dessus|initial\w*"
            r"|système|données|reçues)",
        ),
        (
            "override",
            0.9,
            r"\b(?:ignora|ignore|ignorad|olvida|olvide|olvídate de|omite|omita|desestima|descarta"
            r"|haz caso omiso de) (?:[\w]+ ){0,4}?(?:instrucciones|órdenes|ordenes|reglas|indicaciones"
            r"|directrices|instrucción) (?:[\w]+ ){0,3}?(?:anteriores|previas|de arriba|iniciales|del sistema"
            r"|dadas|recibidas|anterior)",
        ),
        (
            "override",
            0.9,
            r"\b(?:ignora|ignorate|dimentica|dimenticate|trascura|scarta"
            r"|non seguire) (?:[\w']+ ){0,4}?(?:istruzioni|regole|indicazioni|direttive|comandi"
            r"|ordini) (?:[\w]+ ){0,2}?(?:precedenti|sopra|iniziali|di sistema|ricevut\w|dat\w)",
        ),
        (
            "override",
            0.9,
            r"\b(?:ignore|ignora|ignorem|esqueça|esquece|desconsidere|descarte) (?:[\w]+ ){0,4}?(?:instruções"
            r"|regras|orientações|ordens|diretrizes|comandos) (?:[\w]+ ){0,2}?(?:anteriores|acima|prévias"
            r"|iniciais|do sistema|dadas|recebidas)",
        ),
        (
            "override",
            0.9,
            r"\b(?:negeer|vergeet|negeert|sla over) (?:[\w]+ ){0,4}?(?:vorige|eerdere|bovenstaande|voorgaande"
            r"|voorafgaande|alle|je) (?:[\w]+ ){0,3}?(?:instructies?|opdrachten|regels|aanwijzingen"
            r"|richtlijnen)",
        ),
        (
            "override",
            0.9,
            r"\b(?:zignoruj|ignoruj|zapomnij|pomiń|odrzuć) (?:[\w]+ ){0,3}?(?:poprzednie|wcześniejsze"
            r"|wszystkie|powyższe|wszystkich|poprzednich) (?:[\w]+ ){0,3}?(?:instrukcje|polecenia|zasady"
            r"|instrukcji|poleceń|reguły|wytyczne)",
        ),
        (
            "override",
            0.9,
            r"\b(?:игнорируй\w*|проигнорируй\w*|забудь\w*|не обращай внимания на"
            r"|отбрось\w*) (?:[\w]+ ){0,3}?(?:предыдущ\w+|прошлые|все|всё|прежние"
            r"|вышеуказанн\w+) (?:[\w]+ ){0,3}?(?:инструкции|указания|правила|команды|инструкций|приказы)",
        ),
        (
            "override",
            0.9,
            r"(?:önceki|yukarıdaki|tüm|bütün) (?:[\w]+ ){0,2}?(?:talimat\w*|yönerge\w*|komut\w*"
            r"|kural\w*) (?:[\w]+ ){0,2}?(?:yok say|görmezden gel|unut|dikkate alma)",
        ),
        (
            "override",
            0.9,
            r"(?:تجاهل|تجاهلي|انس|انسَ|أهمل).{0,15}(?:التعليمات|الأوامر|القواعد|الإرشادات).{0,12}(?:السابقة"
            r"|أعلاه|السابق)",
        ),
        (
            "override",
            0.9,
            r"(?:पिछले|पहले के|पूर्व|ऊपर के|ऊपर दिए|सभी).{0,15}(?:निर्देश|आदेश|नियम).{0,15}(?:अनदेखा"
            r"|नज़रअंदाज़|नजरअंदाज|भूल|उपेक्षा)",
        ),
        (
            "override",
            0.9,
            r"(?:忽略|无视|無視|忘记|忘記|忽視|不要理会|不要理會|抛弃).{0,8}(?:之前|以上|前面|上述|先前|所有"
            r"|以前|此前|上面).{0,8}(?:指令|指示|提示|规则|規則|命令|说明|說明|设定|設定)",
        ),
        (
            "override",
            0.9,
            r"(?:以前|これまで|上記|前|今まで|すべて|全て)の.{0,8}(?:指示|命令|プロンプト|ルール"
            r"|指令).{0,8}(?:無視|忘れ)",
        ),
        (
            "override",
            0.9,
            r"(?:이전|위의|앞의|지금까지의|모든).{0,8}(?:지시|명령|프롬프트|규칙|지침).{0,10}(?:무시|잊)",
        ),
        (
            "leak",
            0.9,
            r"\b(?:zeige?|nenne?|verrate?|gib|wiederhole|enthülle|révèle[zr]?|montre[zr]?|affiche[zr]?"
            r"|répète[zr]?|muestra|muéstrame|revela|dime|repite|mostra(?:mi)?|rivela(?:mi)?|revele|mostre|toon"
            r"|onthul|pokaż|ujawnij|покажи|раскрой|выведи) "
            r"(?:[\w'’]+ ){0,4}?(?:system-?prompts?|systemprompt|system-?anweisung\w*|prompt système"
            r"|invite système|instructions système|prompt d[eo]l? sistema|prompt de sistema"
            r"|instrucciones del sistema|mensaje del sistema"
            r"|prompt di sistema|istruzioni di sistema|instruções do sistema|systeeminstructies"
            r"|prompt systemowy|instrukcje systemowe|системный промпт|системные инструкции|system prompt)",
        ),
        (
            "leak",
            0.9,
            r"(?:显示|告诉我|输出|泄露|透露|重复|公开|顯示|教えて|表示して|出力して).{0,12}(?:系统提示"
            r"|系統提示|系统指令|システムプロンプト)|システムプロンプト.{0,8}(?:教えて|表示|出力|見せ)"
            r"|시스템 프롬프트.{0,10}(?:보여|알려|출력|공개)",
        ),
    )
)
"""Sort, wording and confidence."""

STEMS = (
    "ignor", "disregard", "forget", "instruct", "prompt", "guideline", "directive", "programming", " mode",
    "anything now", "jailbr", "restrict", "unfilter", "uncensor", "guardrail", "dan ", "filter", "polic",
    "language model", " ai", "ai ", "assistant", " model", "classif", "whatever", "regardless", "no matter",
    "llm", " user", "from now on", "when ", "http", "www.", "orders", "command", "constraint", "training",
    "direction", "protocol", "limit", "no longer", "act as", "pretend", "repeat ", " above", "verbatim",
    "foregoing", "preceding", "system ", "evil", "opposite", "rules", "@", "anweis", "instruk", "regeln",
    "befehle", "vorgaben", "richtlinien", "consigne", "règles", "ordres", "indic", "instruc", "ordenes",
    "órdenes", "reglas", "directric", "istruzion", "regole", "direttive", "comandi", "ordini", "instruç",
    "regras", "orienta", "ordens", "diretriz", "opdracht", "regels", "aanwijz", "polecen", "zasad", "wytyczn",
    "reguł", "инструкц", "указания", "правила", "команды", "приказ", "промпт", "talimat", "yönerge", "komut",
    "kural", "التعليمات", "الأوامر", "القواعد", "الإرشادات", "निर्देश", "आदेश", "नियम", "指令", "指示", "提示",
    "规则", "規則", "命令", "说明", "說明", "设定", "設定", "プロンプト", "ルール", "지시", "명령", "프롬프트",
    "규칙", "지침", "sistema", "système", "systeem",
)  # fmt: skip
"""Every wording has one of these: most text has none, and is let through."""
