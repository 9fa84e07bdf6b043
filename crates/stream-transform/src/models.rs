//! The models that clients may ask for, and what each is upstream. The table is data.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use serde::Deserialize;
use z2api_wire::event::Dialect;

/// The built-in table, as JSON. A table of one's own has the same shape.
pub const BUILT_IN_MODELS: &str = include_str!("models.json");

/// A name that clients may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// The public name.
    pub name: String,
    /// The upstream's id in the `zai-web` dialect.
    pub zai_web: String,
    /// The upstream's id in the `openai` dialect.
    pub openai: String,
    /// Whether it thinks before it answers.
    pub thinking: bool,
    /// Whether a request may switch that.
    pub thinking_is_optional: bool,
    /// Whether it searches the web.
    pub search: bool,
    /// The tool servers that the upstream searches with (`zai-web`).
    pub mcp_servers: Vec<String>,
    /// Whether it sees images.
    pub vision: bool,
    /// How many of its requests may be in flight, all variants together. None: as many as there
    /// are slots.
    pub concurrency: Option<NonZeroUsize>,
    /// The words for `reasoning_effort` that it knows (`openai`).
    pub efforts: Vec<String>,
    /// How many tokens it reads and writes at most, where that is known.
    pub context_length: Option<u64>,
    /// How many tokens it writes at most, where that is known.
    pub max_output: Option<u64>,
    /// Unix time in seconds.
    pub created: u64,
}

impl Model {
    /// The upstream's id in a dialect.
    pub fn upstream_id(&self, dialect: Dialect) -> &str {
        match dialect {
            Dialect::ZaiWeb => &self.zai_web,
            Dialect::OpenAi => &self.openai,
        }
    }
}

/// A row of the table: a model and the variants that follow from it, `NAME-Thinking` where
/// thinking is optional and `NAME-Search` where it can search.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    zai_web: String,
    /// The lower-case name where absent.
    openai: Option<String>,
    thinking: Thinking,
    #[serde(default)]
    search: Vec<String>,
    #[serde(default)]
    vision: bool,
    concurrency: Option<NonZeroUsize>,
    #[serde(default)]
    efforts: Vec<String>,
    context_length: Option<u64>,
    max_output: Option<u64>,
    created: u64,
    /// Other names for the model itself, unlisted. One that ends in `*` is all that begin so.
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Thinking {
    Never,
    Optional,
    Always,
}

impl Row {
    fn models(self) -> Vec<Model> {
        let base = Model {
            openai: self.openai.unwrap_or_else(|| self.name.to_ascii_lowercase()),
            name: self.name,
            zai_web: self.zai_web,
            thinking: self.thinking == Thinking::Always,
            thinking_is_optional: self.thinking == Thinking::Optional,
            search: false,
            mcp_servers: Vec::new(),
            vision: self.vision,
            concurrency: self.concurrency,
            efforts: self.efforts,
            context_length: self.context_length,
            max_output: self.max_output,
            created: self.created,
        };
        let mut models = vec![base.clone()];
        if self.thinking == Thinking::Optional {
            let name = format!("{}-Thinking", base.name);
            models.push(Model { name, thinking: true, ..base.clone() });
        }
        if !self.search.is_empty() {
            let name = format!("{}-Search", base.name);
            let thinking = self.thinking != Thinking::Never;
            models.push(Model { name, thinking, search: true, mcp_servers: self.search, ..base });
        }
        models
    }
}

/// A table that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelTableError {
    /// Not JSON of the table's shape.
    #[error("is not a table of models: {0}")]
    NotATable(String),
    /// A name is given twice, case aside.
    #[error("names the model {0:?} twice")]
    Twice(String),
    /// There is no model in it.
    #[error("names no model")]
    Empty,
}

/// The models by name.
#[derive(Debug, Clone)]
pub struct ModelTable {
    models: Vec<Model>,
    /// By lower-case name or alias.
    index: HashMap<String, usize>,
    /// What an alias with a `*` begins with, in lower case.
    prefixes: Vec<(String, usize)>,
}

impl ModelTable {
    /// The built-in table.
    pub fn built_in() -> Self {
        Self::from_json(BUILT_IN_MODELS).expect("the built-in table is checked by a test")
    }

    /// Reads a table of the shape of [`BUILT_IN_MODELS`].
    ///
    /// # Errors
    /// [`ModelTableError`].
    pub fn from_json(json: &str) -> Result<Self, ModelTableError> {
        let rows: Vec<Row> = serde_json::from_str(json)
            .map_err(|error| ModelTableError::NotATable(error.to_string()))?;
        let mut table = Self { models: Vec::new(), index: HashMap::new(), prefixes: Vec::new() };
        for mut row in rows {
            let at = table.models.len();
            let aliases = std::mem::take(&mut row.aliases);
            for model in row.models() {
                table.name(&model.name, table.models.len())?;
                table.models.push(model);
            }
            for alias in aliases {
                table.name(&alias, at)?;
            }
        }
        // The longest says most.
        table.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        if table.models.is_empty() { Err(ModelTableError::Empty) } else { Ok(table) }
    }

    fn name(&mut self, name: &str, at: usize) -> Result<(), ModelTableError> {
        let lower = name.to_ascii_lowercase();
        let known = match lower.strip_suffix('*') {
            Some(prefix) => {
                let known = self.prefixes.iter().any(|(known, _)| known == prefix);
                self.prefixes.push((prefix.to_owned(), at));
                known
            }
            None => self.index.insert(lower, at).is_some(),
        };
        if known { Err(ModelTableError::Twice(name.to_owned())) } else { Ok(()) }
    }

    /// Finds a model by its public name or an alias, whatever its case.
    pub fn get(&self, name: &str) -> Option<&Model> {
        let name = name.to_ascii_lowercase();
        let begins = || self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix));
        let at = self.index.get(&name).or_else(|| begins().map(|(_, at)| at))?;
        Some(&self.models[*at])
    }

    /// All models, in the table's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Model> {
        self.models.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, web: &str, openai: &str, thinking: bool, servers: &[&str]) {
        let table = ModelTable::built_in();
        let model = table.get(name).expect(name);
        assert_eq!((model.zai_web.as_str(), model.openai.as_str()), (web, openai));
        assert_eq!((model.thinking, model.search), (thinking, !servers.is_empty()));
        assert_eq!(model.mcp_servers, servers);
    }

    #[test]
    fn the_three_names_of_old_mean_what_they_meant() {
        check("GLM-4.5", "0727-360B-API", "glm-4.5", false, &[]);
        check("GLM-4.5-Thinking", "0727-360B-API", "glm-4.5", true, &[]);
        check("glm-4.5-search", "0727-360B-API", "glm-4.5", true, &["deep-web-search"]);
    }

    #[test]
    fn a_model_that_always_thinks_has_no_variants() {
        check(
            "GLM-4.1V-9B-Thinking",
            "GLM-4.1V-Thinking-FlashX",
            "glm-4.1v-9b-thinking",
            true,
            &[],
        );
        assert!(ModelTable::built_in().get("GLM-4.1V-9B-Thinking-Thinking").is_none());
    }

    #[test]
    fn an_alias_is_another_name_and_the_longest_beginning_wins() {
        let row = |name: &str, aliases: &str| {
            format!(
                r#"{{"name":"{name}","zai_web":"x","thinking":"optional","created":1,"aliases":[{aliases}]}}"#
            )
        };
        let table = [row("A", r#""one","claude-*""#), row("B", r#""claude-b*""#)];
        let table = ModelTable::from_json(&format!("[{}]", table.join(","))).unwrap();
        let name = |asked: &str| table.get(asked).map(|model| model.name.as_str());
        assert_eq!(
            [name("ONE"), name("Claude-x"), name("claude-b1")],
            [Some("A"), Some("A"), Some("B")]
        );
        assert_eq!([name("claude"), name("A-Thinking")], [None, Some("A-Thinking")]);
        assert_eq!(table.iter().len(), 4, "aliases are not listed");
    }

    #[test]
    fn a_table_that_cannot_be_used_says_why() {
        let row = r#"{"name":"a","zai_web":"b","thinking":"never","created":1}"#;
        let twice = format!("[{row},{}]", row.replace("\"a\"", "\"A\""));
        assert_eq!(ModelTable::from_json(&twice).err(), Some(ModelTableError::Twice("A".into())));
        assert_eq!(ModelTable::from_json("[]").err(), Some(ModelTableError::Empty));
        assert!(ModelTable::from_json(&format!("[{}]", row.replace("created", "made"))).is_err());
    }
}
