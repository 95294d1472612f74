/**
 * Patterns of prose that the project does not use, each with the number of its rule, and the better words. Patterns are matched
 * regardless of case, in text whose code is blanked: `` `up` `` reads `` `··` ``. The last item limits a pattern to one kind of text.
 *
 * 1 functions start with a verb; 2 types and fields are noun phrases; 4 no fronted "of"; 5 no "is to"; 6 subject, verb, object;
 * 7 the actor is named; 8 time and place; 9 things exist, they do not stand or tell; 10 "own" only for ownership; 11 negation, examples
 * and causes; 12 limits and units; 15 messages, hints and terms; 16 headings.
 */
export const RULES = [
  [4, String.raw`(?:^\s*|[.;:!?]\s+)of\s+(?!course)[a-z\`]`, '"in/for/with …", after the verb'],
  [4, String.raw`what(?:ever)?\s+of\b`, '"the part of … that", "what … contains"'],
  [4, String.raw`\bof\s+what\s+`, 'the noun'],
  [
    4,
    String.raw`(?<!some |last |first |rest |one |two |three |most |all |none |each |both |any |many |half |\d )\bof\s+which\b(?!\s+(?:\$?\{|\d|all\b|none\b|some\b|only\b|one\b|two\b|at\s+least\b))`,
    '"whose" or "in/for which"',
  ],

  [
    5,
    String.raw`\b(?:is|are|was|were)\s+(?:not\s+)?to\s+(?:be|have|hold|stay|become|keep|name|begin|end|come|stand|tell|say|do|take|go)\b`,
    '"must", "will" or "can"',
  ],
  [5, String.raw`\bbe\s+(?:it|they)\b(?!\s+(?:is|are|was|were))`, '"whether it is"'],
  [6, String.raw`(?:^\s*|[.;:]\s+)best\s+(?!practices?\b|effort\b)[a-z]+`, 'an imperative'],

  [
    7,
    String.raw`\b(?:nobody|somebody|anybody|everybody|whoever|whomever|whosoever|no\s+one)\b`,
    'the actor: a process, a user, the application',
  ],
  [
    7,
    String.raw`\b(?:rivals?|company|keepers?)\b`,
    'the actor: another process, the lock holder, other clients',
  ],
  [7, String.raw`\b(?:other|for|to|of|a)\s+persons?\b|\ba\s+person\b|\bwho\s+looks\b`, '"you" or "the user"'],
  [
    7,
    String.raw`(?<!the\s+)\bothers['’]?\s+(?:at\s+work|writ|wrote|read|wait|have|keep|hold|held|work|may\b|are\b|were\b|who\b)`,
    'the actor: other processes, other clients',
  ],

  [8, String.raw`(?<!\d\s+(?:s|seconds|ms|MiB)\s+)\bbehind\b`, '"after" or "past"'],
  [8, String.raw`\bbeside\b`, '"next to", "besides" or "in addition to"'],
  [8, String.raw`\bunder\s+way\b|\bunderway\b`, '"in progress" or "current"'],
  [8, String.raw`\bany\s+more\b(?!\s+(?:than|[a-z]+s\b))`, '"no longer"'],
  [8, String.raw`\bmeanwhile\b`, '"since then", "at the same time" or nothing'],
  [8, String.raw`\b(?:go|goes|going|gone|went)\s+on\b`, '"continue" or "resume"'],
  [8, String.raw`\bby\s+now\b`, '"now", "already" or nothing'],
  [8, String.raw`\ball\s+the\s+same\b`, '"anyway"'],
  [8, String.raw`\bin\s+turn\b`, '"one after another"'],
  [8, String.raw`\bin\s+vain\b`, 'what happens instead'],

  [
    9,
    String.raw`\b(?:stand|stands|stood|standing)\b(?!-|\s+(?:in\s+)?for\b)`,
    '"exist", "is stored" or "is"',
  ],
  [9, String.raw`\b(?:lie|lies|lay|lain)\b`, '"is" or "is stored"'],
  [9, String.raw`\bhang(?:s|ing)?\s+(?:on|from)\b|\bhung\b`, '"depends on"'],
  [9, String.raw`\b(?:tell|tells|telling|told)\b(?!\s+apart)`, '"report", "print", "show" or "log"'],
  [9, String.raw`\b(?:knows|wants)\b`, '"records", "contains", "requires"'],

  [
    10,
    String.raw`\bof\s+(?:its|their|one[’']s|our|his|an?|some|the\s+\w+[’']s?)\s+own\b|\ban?\s+own\b`,
    '"separate", "dedicated", "custom" or "its own" before the noun',
  ],
  [
    10,
    String.raw`\bof\s+(?:(?:yours|ours|theirs)\b|(?:your|our)\s+own\b(?=\s*[.,;:)]))`,
    '"your own", "our", before the noun',
  ],
  [10, String.raw`\bone[’']s\s+own\b`, '"your own" or "custom"'],

  [
    11,
    String.raw`(?<!\bthere\s|\bhere\s)\b(?:is|are|was|were)\s+no\s+(?!longer\b|more\b|less\b|different\b)[a-z]+`,
    '"is not a", "does not"',
  ],
  [11, String.raw`\bcan\s+not\b`, '"cannot"'],
  [
    11,
    String.raw`,\s+since\s+(?!then\b|when\b|version\b|[A-Z]?\d|\`|the\s+(?:last|previous|first|start|begin|release|run|backup|batch))`,
    '"because"',
  ],
  [
    11,
    String.raw`(?:^\s*|\.\s+)since\s+(?!then\b|when\b|version\b|[A-Z]?\d|\`|the\s+(?:last|previous|first|start|begin|release|run|backup|batch))`,
    '"because"',
  ],
  [11, String.raw`\bsince\s+(?:no|only|there\s+is|there\s+are|nothing|neither|both|all)\b`, '"because"'],
  [
    11,
    String.raw`[,(]\s*as\s+(?:in\s+)?\`[^\`]*\`(?!\s+(?:[a-z]+s|did|do|says?|has)\b)(?=\s*[,.;:)]|\s+or\b)`,
    '"such as"',
  ],
  [11, String.raw`\bbut\s+for\b`, '"except"'],

  [12, String.raw`\bso\s+many\s+(?!that\b)`, 'the parameter’s name, or "n"'],
  [
    12,
    String.raw`(?<!which\s+|what\s+)\b(?:rows|bytes|kb|mb|gb|mib|gib|ms|times|once|twice|batches|keys|cells|pages)\s+an?\s+(?:second|minute|hour|day|month|millisecond|row|batch|page|table|store|file|run|key|step|worker|column|statement)\b`,
    '"per"',
  ],
  [12, String.raw`\bat\s+most\b`, '"up to" or "maximum"'],

  [15, String.raw`\bmend(?:s|ed|ing)?\b`, '"fix"'],
  [15, String.raw`\blook(?:s|ed|ing)?\s+(?:at|into|after)\b`, '"read", "inspect" or "check"'],
  [15, String.raw`\b(?:look|looks|looked)\s+for\b`, '"search for" or "find"'],
  [15, String.raw`\ba\s+look\b`, '"a read", "a check"'],
  [
    15,
    String.raw`\b(?:take|takes|took|taken|taking|bring|brings|brought)\s+(?:(?:it|them|all|of|this|that|those|each|every|everything|exactly|only)\s+){0,3}back\b`,
    '"revert"',
  ],
  [15, String.raw`\bma(?:ke|kes|de|king)\s+(?:again|anew)\b`, '"recreate" or "rebuild"'],
  [15, String.raw`\bremade\b|\bremakes?\b`, '"recreate"'],
  [
    15,
    String.raw`\b(?:leave|leaves|left|leaving)\s+(?:(?:it|them|all|those|of\s+it)\s+){0,3}alone\b`,
    '"skip" or "leave unchanged"',
  ],
  [15, String.raw`\bsay(?:s)?\s+what\s+would\s+happen\b`, '"report the plan"'],
  [15, String.raw`\b(?:foretold|foretells?|foresees?n?)\b`, '"estimate"'],
  [15, String.raw`\brehears(?:e|es|ed|al)\b`, '"preflight" or "try on a copy"'],
  [15, String.raw`\bcourteous(?:ly)?\b|\bcourtesy\b|\brhythm\b`, '"throttle", "pace"'],
  [15, String.raw`\bbefore-image\b`, '"backup"'],
  [15, String.raw`\b(?:is|are|was|were|be)\s+begun\b`, '"started"'],
  [15, String.raw`\botherwise\s+than\b`, '"differently from"'],
  [15, String.raw`\bgives?\s+way\b`, '"clears", "makes room"'],
  [
    15,
    String.raw`\b(?:would|will|does)\s+not\s+pay\b|\bdoesn[’']t\s+pay\b|\bit\s+pays\b`,
    '"is (not) worthwhile"',
  ],
  [15, String.raw`\bin\s+case\s+of\s+need\b`, '"if necessary"'],
  [
    15,
    String.raw`^(?:Look|Name|Give|Take|Let|Make\s+room|Mend)\s`,
    'a standard imperative: Run, Fix, Check, Pass, Set, Remove, Free, Stop',
    'hint',
  ],

  [
    1,
    String.raw`^(?:what|who|whose|how|where|when|which)\s`,
    'a third-person verb: Returns, Creates, Checks …',
    'function',
  ],
  [1, String.raw`^whether\s`, 'a third-person verb: Returns, Creates, Checks …', 'function not of a boolean'],
  [2, String.raw`^(?:what|who|whose|how|where|when)\s`, 'a noun phrase', 'declaration'],

  [16, String.raw`\?$`, 'a noun phrase or a gerund', 'heading'],
  [16, String.raw`^(?:what|who|how|where|when|whether)\s`, 'a noun phrase or a gerund', 'heading'],
].map(([rule, source, write, only]) => ({
  rule,
  pattern: new RegExp(source, only === 'hint' ? 'g' : 'gi'),
  write,
  only,
}));

/** Phrases in which a pattern above is right, each with the reason. */
export const ALLOWED = [
  ['lags behind', 'the distance of a replica'],
  ['falls behind', 'the distance of a replica'],
  ['fall behind', 'the distance of a replica'],
  ['behind PgBouncer', 'a server that a proxy hides'],
  ['behind a pooler', 'a server that a proxy hides'],
  ['behind a proxy', 'a server that a proxy hides'],
  ['behind a load balancer', 'a server that a proxy hides'],
  ['| courteous |', 'a value of the option'],
  ['. courteous .', 'a value of the option'],
  ['since {since}', 'a time'],
  ['you want', 'the wish of a reader'],
  ['How it works', 'the title of a page'],
  ['all the same length', 'equal, not "anyway"'],
].map(([phrase, reason]) => ({ phrase, reason }));
