//! Names that look like one that does not exist.

/// The name that differs from `given` the least: in a letter that is wrong, missing, too much, or swapped with its neighbour; in two of
/// them if it is not short. `None` if all differ more.
pub fn most_similar<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = if given.len() <= 4 { 1 } else { 2 };
    let near = names.filter(|name| name.len().abs_diff(given.len()) <= most);
    let compared = near.map(|name| (strsim::osa_distance(given, name), name));
    let similar = compared.filter(|(distance, name)| *distance <= most && *distance < name.len());
    similar.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_nothing_that_only_looks_a_little_alike() {
        let names = ["messi", "henderson", "lineker", "ann", "#lab", "#lobby"];
        let similar = |given| most_similar(given, names.into_iter());
        for (given, meant) in [
            ("mesi", Some("messi")),
            ("messsi", Some("messi")),
            ("mesis", Some("messi")),
            ("hendreson", Some("henderson")),
            ("hendrson", Some("henderson")),
            ("an", Some("ann")),
            ("#labb", Some("#lab")),
            ("#loby", Some("#lobby")),
            ("mary", None),
            ("aa", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(similar(given), meant, "{given}");
        }
    }
}
