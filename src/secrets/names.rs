//! Names that say that what stands under them is secret.
//!
//! A name is taken apart into words at its separators and at capital letters, since `key` and
//! `pass` are secrets as words and not as parts of `keyboard` and `passthru`.

/// What a name says of everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Veil {
    /// Nothing.
    Open,
    /// They are keys: secret, except for what is told about a key.
    Keys,
    /// All of it is secret.
    Whole,
}

/// Secret in whatever word they are.
const ANYWHERE: [&str; 7] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "credential",
    "recoverykey",
];

/// Secret as a word, or as the end of one.
const ENDINGS: [&str; 4] = ["pwd", "pw", "chap", "shadow"];

/// Secret as a word.
const WORDS: [&str; 15] = [
    "psk",
    "token",
    "tokens",
    "cred",
    "creds",
    "chapname",
    "snmp",
    "ipmi",
    "vpxa",
    "community",
    "communities",
    "keytab",
    "keystore",
    "license",
    "licence",
];

/// Secret as the last word.
const LAST_WORDS: [&str; 5] = ["pass", "hash", "hashes", "hashed", "private"];

/// What comes before `hash` where it is a way to spread load.
const SPREAD: [&str; 7] = ["ip", "mac", "port", "src", "dst", "source", "load"];

/// What may follow a word that names a secret and makes of both the name of something else.
const RULES: [&str; 27] = [
    "quality",
    "policy",
    "min",
    "max",
    "minimum",
    "maximum",
    "age",
    "days",
    "length",
    "complexity",
    "expire",
    "expires",
    "expiry",
    "expiration",
    "expired",
    "type",
    "algorithm",
    "algorithms",
    "changed",
    "change",
    "enabled",
    "required",
    "file",
    "path",
    "mode",
    "edition",
    "version",
];

/// What comes before `key` where it is none that is kept secret.
const OTHER_KEYS: [&str; 22] = [
    "public",
    "pub",
    "ssh",
    "authorized",
    "known",
    "primary",
    "foreign",
    "sort",
    "partition",
    "index",
    "lookup",
    "object",
    "instance",
    "registry",
    "config",
    "setting",
    "option",
    "property",
    "row",
    "map",
    "group",
    "hot",
];

/// What comes before `key` in one word with it where it is secret.
const JOINED_KEYS: [&str; 17] = [
    "auth",
    "priv",
    "private",
    "api",
    "secret",
    "license",
    "shared",
    "preshared",
    "encryption",
    "crypt",
    "access",
    "session",
    "master",
    "signing",
    "wep",
    "wpa",
    "host",
];

/// What may follow `key` without making another thing of it.
const KEY_CONTENT: [&str; 10] = [
    "data", "material", "text", "pem", "bytes", "string", "blob", "hex", "base64", "content",
];

/// What is told about a key.
const ABOUT_KEYS: [&str; 15] = [
    "id",
    "name",
    "type",
    "kind",
    "algorithm",
    "size",
    "length",
    "bits",
    "comment",
    "owner",
    "provider",
    "version",
    "public",
    "created",
    "uuid",
];

/// Files that hold secrets as a whole, whatever their words.
const FILES: [&str; 9] = [
    "iscsid.conf",
    "encryption.info",
    "random-seed",
    "opasswd",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "local.tgz.ve",
];

/// Files with a word in their name that says otherwise.
const OPEN_FILES: [&str; 1] = ["passwd"];

/// Endings of the names of files that are archives of secrets.
const ARCHIVES: [&str; 6] = [".tgz", ".p12", ".pfx", ".jks", ".keystore", ".kdb"];

/// Directories that hold nothing but secrets.
const DIRECTORIES: [&str; 4] = ["keystore", "private", "secrets", "credentials"];

/// Whether a setting of this name is known to hold a secret. Parts of the name may be separated
/// by `/`, `.`, blanks or brackets; what an upper part says counts for the lower ones.
pub fn is_secret_name(name: &str) -> bool {
    veil_of(name) != Veil::Open
}

/// Whether the file is known to hold keys, password hashes or the like as a whole. Public keys
/// and certificates are none.
pub fn is_secret_path(path: &str) -> bool {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    // A bank's own file is named `bank5:NAME`, and the twin of a file `.#NAME`.
    let file = file.rsplit_once(':').map_or(file, |(_, file)| file);
    let file = file.trim_start_matches(['.', '#']).to_ascii_lowercase();
    let parts = || directory.split('/');
    if file.ends_with(".pub") || OPEN_FILES.contains(&file.as_str()) {
        return false;
    }
    if FILES.contains(&file.as_str()) || parts().any(|part| DIRECTORIES.contains(&part)) {
        return true;
    }
    // The archives of a configuration, by whatever name; ESXi's own modules are none.
    if ARCHIVES.iter().any(|ending| file.ends_with(ending)) {
        return !file.ends_with(".tgz") || file.starts_with("state") || file.starts_with("local");
    }
    // The modules of PAM are named after what they do.
    !parts().any(|part| part == "pam.d") && is_secret_file_name(&file)
}

/// The words of a file's name count like those of a setting, up to where its type begins:
/// `ssh_host_rsa_key`, `rui.key`, `snmp.xml`, `shadow-`.
fn is_secret_file_name(file: &str) -> bool {
    let words = words(file);
    let (stem, _) = file.split_once('.').unwrap_or((file, ""));
    of_words(&words) != Veil::Open || of_words(&self::words(stem)) != Veil::Open
}

/// What a name says of what stands under it.
pub(super) fn veil_of(name: &str) -> Veil {
    let parts = name.split(['/', '.', '[', ']', ' ']);
    let parts = parts.filter(|part| !part.is_empty());
    parts.fold(Veil::Open, below)
}

/// What holds for a part of a name, given what holds for those above it.
pub(super) fn below(above: Veil, part: &str) -> Veil {
    let words = words(part);
    let own = of_words(&words);
    let tells = words
        .last()
        .is_some_and(|word| ABOUT_KEYS.contains(&word.as_str()));
    match (above, own) {
        (Veil::Keys, Veil::Open) if tells => Veil::Open,
        _ => above.max(own),
    }
}

fn of_words(words: &[String]) -> Veil {
    let mut veil = Veil::Open;
    for (index, word) in words.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| words.get(index));
        let next = words.get(index + 1).map(String::as_str);
        veil = veil.max(of_word(word, before.map(String::as_str), next));
    }
    veil
}

fn of_word(word: &str, before: Option<&str>, next: Option<&str>) -> Veil {
    if next.is_some_and(|next| RULES.contains(&next)) {
        return Veil::Open;
    }
    let is_whole = ANYWHERE.iter().any(|part| word.contains(part))
        || ENDINGS.iter().any(|ending| word.ends_with(ending))
        || WORDS.contains(&word)
        || (word == "pass" && matches!(next, Some("phrase" | "word" | "code")))
        || (LAST_WORDS.contains(&word)
            && next.is_none()
            && !before.is_some_and(|before| SPREAD.contains(&before)));
    if is_whole {
        return Veil::Whole;
    }
    let joined = word.strip_suffix("key").or(word.strip_suffix("keys"));
    let is_key = match joined {
        Some("") => !before.is_some_and(|before| OTHER_KEYS.contains(&before)),
        Some(joined) => JOINED_KEYS.contains(&joined),
        None => false,
    };
    if is_key && next.is_none_or(|next| KEY_CONTENT.contains(&next)) {
        Veil::Keys
    } else {
        Veil::Open
    }
}

/// The words of a name in small letters, without the digits they end with: `SNMPv3AuthKey2` is
/// `snmp`, `v`, `auth` and `key`.
fn words(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (index, &character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|index| characters.get(index));
        let next = characters.get(index + 1);
        let begins = character.is_uppercase()
            && (before.is_some_and(|c| c.is_lowercase() || c.is_ascii_digit())
                || (before.is_some_and(|c| c.is_uppercase())
                    && next.is_some_and(|c| c.is_lowercase())));
        // `SNMPv3`: the version belongs to no word.
        let is_version = character == 'v'
            && before.is_some_and(|c| c.is_uppercase())
            && next.is_some_and(char::is_ascii_digit);
        if begins || is_version || !character.is_alphanumeric() {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    let bare = words.iter().map(|word| {
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if stem == "base" { word.as_str() } else { stem }
    });
    let bare = bare.filter(|word| !word.is_empty());
    bare.map(str::to_owned).collect()
}

/// Whether a value only says yes or no, which gives no secret away.
pub(super) fn says_nothing(value: &str) -> bool {
    ["true", "false", "null"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}
