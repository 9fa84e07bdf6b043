//! How a client's tools are called upstream, where a function has a name and nothing else.

use std::collections::HashMap;

/// The longest name that upstreams take, in bytes.
const LONGEST: usize = 64;

/// A tool as the client knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnName {
    /// The namespace that it is in.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// How a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// With JSON.
    Function,
    /// With free text.
    Custom,
}

/// The tools of one request, by both of their names.
#[derive(Debug, Default)]
pub(super) struct ToolNames {
    upstream: HashMap<OwnName, String>,
    own: HashMap<String, (OwnName, Form)>,
}

impl ToolNames {
    /// Gives a tool a name that no other has; None if this tool is there already. Those without a
    /// namespace keep their names: they come first.
    pub(super) fn add(&mut self, tool: OwnName, form: Form) -> Option<String> {
        if self.upstream.contains_key(&tool) {
            return None;
        }
        let plain = joined(&tool);
        let name = if self.own.contains_key(&plain) { marked(&plain, &tool) } else { plain };
        if self.own.contains_key(&name) {
            return None;
        }
        self.upstream.insert(tool.clone(), name.clone());
        self.own.insert(name.clone(), (tool, form));
        Some(name)
    }

    /// The name of a tool, which may have been offered before and not be any more.
    pub(super) fn upstream(&self, tool: &OwnName) -> String {
        self.upstream.get(tool).cloned().unwrap_or_else(|| joined(tool))
    }

    /// The name of a tool that is offered.
    pub(super) fn offered(&self, tool: &OwnName) -> Option<&str> {
        self.upstream.get(tool).map(String::as_str)
    }

    /// Which tool the model has called. A name that it made up is told as it is.
    pub(super) fn own(&self, name: &str) -> (OwnName, Form) {
        let made_up = || (OwnName { namespace: None, name: name.to_owned() }, Form::Function);
        self.own.get(name).cloned().unwrap_or_else(made_up)
    }
}

/// Namespace and name in one, if it can be told apart from others and is not too long.
fn joined(tool: &OwnName) -> String {
    let Some(namespace) = &tool.namespace else { return tool.name.clone() };
    let joint = if namespace.ends_with("__") { "" } else { "__" };
    let full = format!("{namespace}{joint}{}", tool.name);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let plain: String = full.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if plain == full && plain.len() <= LONGEST { plain } else { marked(&plain, tool) }
}

/// A name with a mark that tells it from names that begin alike. The same in every request, since
/// conversations hold it.
fn marked(plain: &str, tool: &OwnName) -> String {
    let namespace = tool.namespace.as_deref().unwrap_or_default();
    let bytes = namespace.bytes().chain([0]).chain(tool.name.bytes());
    // FNV-1a.
    let hash = bytes
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mark = format!("_{hash:08x}");
    let most = plain.len().min(LONGEST - mark.len());
    format!("{}{mark}", &plain[..plain.floor_char_boundary(most)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn own(namespace: &str, name: &str) -> OwnName {
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        OwnName { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    /// The names of these tools, each of which must lead back to its tool.
    fn named(tools: &[(&str, &str)]) -> Vec<String> {
        let mut names = ToolNames::default();
        let add = |(namespace, name): &(&str, &str)| {
            names.add(own(namespace, name), Form::Function).expect("a name")
        };
        let given: Vec<String> = tools.iter().map(add).collect();
        for (tool, name) in tools.iter().zip(&given) {
            assert_eq!(names.own(name), (own(tool.0, tool.1), Form::Function));
            assert_eq!(names.upstream(&own(tool.0, tool.1)), *name);
            assert!(name.len() <= LONGEST, "{name}");
        }
        given
    }

    #[test]
    fn a_tool_in_a_namespace_has_both_names_in_one() {
        let names = named(&[("", "look"), ("mcp__tide", "look"), ("mcp__moon__", "look")]);
        assert_eq!(names, ["look", "mcp__tide__look", "mcp__moon__look"]);
    }

    proptest! {
        #[test]
        fn every_tool_has_a_name_that_upstreams_take_and_that_leads_back(
            tools in prop::collection::hash_set(("(a|_|é|long){1,9}", "(a|_|b|é|long){1,20}"), 1..20),
        ) {
            let tools: Vec<_> = tools.iter().map(|(one, two)| (one.as_str(), two.as_str())).collect();
            for name in named(&tools) {
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                prop_assert!(name.chars().all(fits), "{}", name);
            }
        }
    }

    #[test]
    fn names_that_would_be_the_same_are_told_apart() {
        let names =
            named(&[("", "a__b__c"), ("a", "b__c"), ("a__b", "c"), ("a b", "c"), ("a_b", "c")]);
        assert_eq!(names[0], "a__b__c");
        assert!(names[1].starts_with("a__b__c_") && names[2].starts_with("a__b__c_"), "{names:?}");
        assert!(names[3].starts_with("a_b__c_") && names[4] == "a_b__c", "{names:?}");
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_what_tells_it_apart() {
        let (space, one) =
            ("mcp__a_server_with_a_long_name", "a_tool_with_a_name_that_is_long_itself_");
        let names = named(&[(space, &format!("{one}1")), (space, &format!("{one}2")), ("é", one)]);
        assert!(names[..2].iter().all(|name| name.len() == LONGEST), "{names:?}");
        assert!(names.iter().all(|name| name.is_ascii()));
    }

    #[test]
    fn a_tool_that_is_not_offered_any_more_keeps_its_name() {
        let names = ToolNames::default();
        for (namespace, name) in [("mcp__tide", "look"), ("a b", "c"), ("", "look")] {
            let mut then = ToolNames::default();
            let given = then.add(own(namespace, name), Form::Function).unwrap();
            assert_eq!(names.upstream(&own(namespace, name)), given);
        }
        assert_eq!(names.own("made up"), (own("", "made up"), Form::Function));
    }

    #[test]
    fn a_tool_that_is_there_twice_gets_no_second_name() {
        let mut names = ToolNames::default();
        assert!(names.add(own("a", "b"), Form::Function).is_some());
        assert_eq!(names.add(own("a", "b"), Form::Custom), None);
    }
}
