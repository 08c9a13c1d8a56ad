//! Finds the calls of gettext in a Rust file. It knows as much of Rust as tells comments, literals and names apart, and refuses a call
//! whose words are not written where it is.

use std::iter::Peekable;

use anyhow::{Result, bail};

/// The functions that take words, with how many of them.
const FUNCTIONS: &[(&str, usize)] = &[
    ("gettext", 1),
    ("ngettext", 2),
    ("pgettext", 2),
    ("npgettext", 3),
];

/// A call with its words, or a comment for translators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub line: usize,
    pub function: String,
    pub words: Vec<String>,
    /// What a comment right before it tells translators.
    pub comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Mark(char),
    Comment(String),
}

/// Every call of the file, in order.
///
/// # Errors
/// A function of gettext is named where it is not called with words alone.
pub fn calls(text: &str) -> Result<Vec<Call>> {
    let all = tokens(text);
    let mut found = Vec::new();
    let mut comment: Option<(usize, String)> = None;
    let mut at = 0;
    while let Some((line, token)) = all.get(at) {
        at += 1;
        let name = match token {
            Token::Comment(words) => {
                comment = match comment.take() {
                    Some((before, first)) if before + 1 == *line => {
                        Some((*line, format!("{first} {words}")))
                    }
                    _ if words.starts_with("Translators:") => Some((*line, words.clone())),
                    _ => None,
                };
                continue;
            }
            Token::Name(name) => name,
            _ => continue,
        };
        let Some((_, count)) = FUNCTIONS.iter().find(|(known, _)| known == name) else {
            continue;
        };
        match all.get(at).map(|(_, next)| next) {
            Some(Token::Mark('(')) => at += 1,
            // In a `use`.
            Some(Token::Mark(',' | '}' | ';' | ':')) => continue,
            _ => bail!("line {line}: {name} is not called here"),
        }
        let mut words = Vec::new();
        while words.len() < *count {
            let Some((word, next)) = literal(&all, at) else {
                bail!("line {line}: {name} has something else than a text");
            };
            words.push(word);
            at = next;
            match all.get(at).map(|(_, next)| next) {
                Some(Token::Mark(',')) => at += 1,
                Some(Token::Mark(')')) => {}
                _ => bail!("line {line}: {name} has something else than a text"),
            }
        }
        found.push(Call {
            line: *line,
            function: name.clone(),
            words,
            comment: comment
                .take()
                .filter(|(before, _)| before + 2 >= *line)
                .map(|(_, words)| words),
        });
    }
    Ok(found)
}

/// A text, or several in `concat!`, and what comes after it.
fn literal(all: &[(usize, Token)], at: usize) -> Option<(String, usize)> {
    let is_concat = matches!(&all.get(at)?.1, Token::Name(name) if name == "concat");
    if !is_concat {
        return match &all.get(at)?.1 {
            Token::Text(text) => Some((text.clone(), at + 1)),
            _ => None,
        };
    }
    let open = [Token::Mark('!'), Token::Mark('(')];
    let starts = open.iter().zip(all.get(at + 1..)?);
    if !starts.clone().all(|(want, (_, have))| want == have) {
        return None;
    }
    let mut whole = String::new();
    for (past, (_, token)) in all.get(at + 3..)?.iter().enumerate() {
        match token {
            Token::Text(text) => whole.push_str(text),
            Token::Mark(',') => {}
            Token::Mark(')') => return Some((whole, at + 4 + past)),
            _ => return None,
        }
    }
    None
}

/// The file's tokens with their lines.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    let counted = text.chars().scan(1, |line, c| {
        let here = *line;
        *line += usize::from(c == '\n');
        Some((here, c))
    });
    let mut rest = counted.collect::<Vec<_>>().into_iter().peekable();
    while let Some((at, c)) = rest.next() {
        let next = rest.peek().map(|(_, c)| *c);
        let token = match c {
            '/' if next == Some('/') => Token::Comment(to_line_end(&mut rest)),
            '/' if next == Some('*') => {
                block(&mut rest);
                continue;
            }
            '"' => Token::Text(quoted(&mut rest)),
            '\'' => {
                character(&mut rest);
                continue;
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut name = String::from(c);
                while let Some((_, c)) = rest.next_if(|(_, c)| c.is_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                let mark = rest.peek().map(|(_, c)| *c);
                match (name.as_str(), mark) {
                    ("r" | "br" | "cr", Some('"' | '#')) => match raw(&mut rest) {
                        Some(text) => Token::Text(text),
                        None => continue,
                    },
                    ("b" | "c", Some('"' | '\'')) => continue,
                    _ => Token::Name(name),
                }
            }
            c if c.is_whitespace() => continue,
            c => Token::Mark(c),
        };
        found.push((at, token));
    }
    found
}

type Rest = Peekable<std::vec::IntoIter<(usize, char)>>;

/// What a line comment says, without its slashes.
fn to_line_end(rest: &mut Rest) -> String {
    let mut words = String::new();
    while let Some((_, c)) = rest.next_if(|(_, c)| *c != '\n') {
        words.push(c);
    }
    words.trim_start_matches(['/', '!']).trim().to_owned()
}

fn block(rest: &mut Rest) {
    let mut depth = 1;
    rest.next();
    while depth > 0
        && let Some((_, c)) = rest.next()
    {
        let next = rest.peek().map(|(_, c)| *c);
        match (c, next) {
            ('*', Some('/')) => depth -= 1,
            ('/', Some('*')) => depth += 1,
            _ => continue,
        }
        rest.next();
    }
}

/// A character literal or a lifetime: neither holds words.
fn character(rest: &mut Rest) {
    match rest.next() {
        Some((_, '\\')) => {
            rest.next();
            while rest.next_if(|(_, c)| *c != '\'').is_some() {}
            rest.next();
        }
        _ => {
            rest.next_if(|(_, c)| *c == '\'');
        }
    }
}

fn raw(rest: &mut Rest) -> Option<String> {
    let mut hashes = 0;
    while rest.next_if(|(_, c)| *c == '#').is_some() {
        hashes += 1;
    }
    // A raw name: `r#type`.
    rest.next_if(|(_, c)| *c == '"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let mut text = String::new();
    while !text.ends_with(&close) {
        text.push(rest.next()?.1);
    }
    text.truncate(text.len() - close.len());
    Some(text)
}

fn quoted(rest: &mut Rest) -> String {
    let mut text = String::new();
    while let Some((_, c)) = rest.next() {
        match c {
            '"' => break,
            '\\' => match rest.next().map(|(_, c)| c) {
                Some('\n') => while rest.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('u') => {
                    let mut number = String::new();
                    for (_, c) in rest.by_ref() {
                        match c {
                            '{' | '_' => {}
                            '}' => break,
                            c => number.push(c),
                        }
                    }
                    let c = u32::from_str_radix(&number, 16).ok();
                    text.extend(c.and_then(char::from_u32));
                }
                c => text.extend(c),
            },
            c => text.push(c),
        }
    }
    text
}

/// The calls as C, for xgettext, each in its line of the Rust file.
pub fn as_c(name: &str, calls: &[Call]) -> String {
    let mut all = String::new();
    for call in calls {
        all.push_str(&format!("#line {} \"{name}\"\n", call.line));
        // In the line of the call, or xgettext takes it for another's.
        if let Some(comment) = &call.comment {
            all.push_str(&format!("/* {} */ ", comment.replace("*/", "")));
        }
        let words: Vec<_> = call.words.iter().map(|word| c_text(word)).collect();
        all.push_str(&format!("{}({});\n", call.function, words.join(", ")));
    }
    all
}

fn c_text(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' => quoted.extend(['\\', c]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
