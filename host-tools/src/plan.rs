//! The memory plan: a place in one arena for every activation, by greedy best fit over lifetimes.

/// Offsets are multiples of this many bytes, so that vector loads of rows start aligned.
const ALIGNMENT: usize = 16;

/// When a tensor is alive, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Bytes.
    pub size: usize,
    /// The step that writes it.
    pub first: usize,
    /// The last step that reads it.
    pub last: usize,
    /// Another tensor, dying in the step that writes this one, whose place it may take.
    pub in_place_of: Option<usize>,
}

/// Where each tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Byte offset of each tensor.
    pub offsets: Vec<usize>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// The largest sum of sizes alive at one time: no plan can be smaller.
    pub lower_bound: usize,
}

/// Exchanges tried to come nearer to the lower bound.
const EXCHANGES: u64 = 400;

/// Places every tensor. Larger ones first, each in the smallest gap that holds it; a tensor that may
/// take another's place takes it. Where that leaves the arena above the lower bound, exchanges in the
/// order are tried, always the same ones, and those kept that do no harm.
#[must_use]
pub fn plan(tensors: &[Lifetime]) -> Plan {
    let groups = in_place_groups(tensors);
    let lower_bound = lower_bound(&groups);
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&g| (std::cmp::Reverse(groups[g].size), groups[g].first));
    let mut best = place(&groups, &order);
    for attempt in 1..=EXCHANGES {
        if best.1 <= lower_bound {
            break;
        }
        let bits = attempt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (a, b) = ((bits >> 40) as usize % order.len(), (bits >> 16) as usize % order.len());
        order.swap(a, b);
        let placed = place(&groups, &order);
        if placed.1 <= best.1 {
            best = placed;
        } else {
            order.swap(a, b);
        }
    }
    let mut offsets = vec![0; tensors.len()];
    for (group, &offset) in groups.iter().zip(&best.0) {
        group.members.iter().for_each(|&member| offsets[member] = offset);
    }
    Plan { offsets, arena_bytes: best.1, lower_bound }
}

/// Offsets of the groups placed in this order, and the size of the arena.
fn place(groups: &[Group], order: &[usize]) -> (Vec<usize>, usize) {
    let mut placed: Vec<(usize, usize)> = Vec::new(); // (group, offset)
    let mut offsets = vec![0; groups.len()];
    for &group in order {
        offsets[group] = best_fit(groups, &placed, group);
        placed.push((group, offsets[group]));
    }
    let ends = groups.iter().zip(&offsets).map(|(group, offset)| offset + group.size);
    let arena_bytes = ends.max().unwrap_or(0);
    (offsets, arena_bytes)
}

/// Tensors that share one place, one after another.
struct Group {
    members: Vec<usize>,
    size: usize,
    first: usize,
    last: usize,
}

impl Group {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

fn in_place_groups(tensors: &[Lifetime]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of = vec![usize::MAX; tensors.len()];
    for (id, tensor) in tensors.iter().enumerate() {
        let host = tensor.in_place_of.filter(|&other| {
            tensors[other].last == tensor.first && tensors[other].size == tensor.size && other < id
        });
        if let Some(other) = host {
            let group = &mut groups[group_of[other]];
            // Only the newest member of a group can be succeeded.
            if group.members.last() == Some(&other) {
                group.members.push(id);
                group.last = group.last.max(tensor.last);
                group_of[id] = group_of[other];
                continue;
            }
        }
        group_of[id] = groups.len();
        groups.push(Group { members: vec![id], size: tensor.size, first: tensor.first, last: tensor.last });
    }
    groups
}

fn best_fit(groups: &[Group], placed: &[(usize, usize)], group: usize) -> usize {
    let mut taken: Vec<(usize, usize)> = placed
        .iter()
        .filter(|&&(other, _)| groups[other].overlaps(&groups[group]))
        .map(|&(other, offset)| (offset, offset + groups[other].size))
        .collect();
    taken.sort_unstable();
    let size = groups[group].size;
    let mut best: Option<(usize, usize)> = None; // (gap, offset)
    let mut end = 0;
    for (start, stop) in taken {
        let gap = start.saturating_sub(end);
        if gap >= size && best.is_none_or(|(least, _)| gap < least) {
            best = Some((gap, end));
        }
        end = end.max(stop.next_multiple_of(ALIGNMENT));
    }
    best.map_or(end, |(_, offset)| offset)
}

fn lower_bound(groups: &[Group]) -> usize {
    let alive_at = |step| groups.iter().filter(move |g| g.first <= step && step <= g.last);
    groups.iter().map(|g| alive_at(g.first).map(|g| g.size).sum()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(size: usize, first: usize, last: usize) -> Lifetime {
        Lifetime { size, first, last, in_place_of: None }
    }

    fn assert_sound(tensors: &[Lifetime], plan: &Plan) {
        for (a, left) in tensors.iter().enumerate() {
            for (b, right) in tensors.iter().enumerate().skip(a + 1) {
                let together = left.first <= right.last && right.first <= left.last;
                let in_place = right.in_place_of == Some(a) && plan.offsets[a] == plan.offsets[b];
                let apart = plan.offsets[a] + left.size <= plan.offsets[b]
                    || plan.offsets[b] + right.size <= plan.offsets[a];
                assert!(!together || in_place || apart, "{a} and {b} collide: {plan:?}");
            }
        }
        assert!(plan.arena_bytes >= plan.lower_bound);
    }

    #[test]
    fn a_chain_needs_two_neighbours_at_a_time() {
        let tensors = [life(160, 0, 1), life(64, 1, 2), life(320, 2, 3), life(16, 3, 4)];
        let plan = plan(&tensors);
        assert_sound(&tensors, &plan);
        assert_eq!((plan.arena_bytes, plan.lower_bound), (384, 384));
    }

    #[test]
    fn an_in_place_add_takes_no_room_of_its_own() {
        let mut tensors = [life(256, 0, 3), life(256, 1, 2), life(256, 2, 3), life(256, 3, 4)];
        tensors[3].in_place_of = Some(2);
        let plan = plan(&tensors);
        assert_sound(&tensors, &plan);
        assert_eq!(plan.offsets[3], plan.offsets[2]);
        assert_eq!(plan.arena_bytes, 768);
    }

    #[test]
    fn random_lifetimes_never_collide() {
        let mut state = 1u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for _ in 0..300 {
            let tensors: Vec<Lifetime> =
                (0..1 + next(14)).map(|step| life(1 + next(400), step, step + 1 + next(4))).collect();
            assert_sound(&tensors, &plan(&tensors));
        }
    }

    #[test]
    fn exchanges_come_nearer_to_the_lower_bound() {
        // Largest first leaves a hole that none of the others fits.
        let mut state = 7_u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let (mut greedy, mut found, mut bound) = (0, 0, 0);
        for _ in 0..100 {
            let tensors: Vec<Lifetime> =
                (0..12).map(|step| life(16 * (1 + next(40)), step, step + 1 + next(4))).collect();
            let groups = in_place_groups(&tensors);
            let mut order: Vec<usize> = (0..groups.len()).collect();
            order.sort_by_key(|&g| (std::cmp::Reverse(groups[g].size), groups[g].first));
            greedy += place(&groups, &order).1;
            let plan = plan(&tensors);
            assert_sound(&tensors, &plan);
            found += plan.arena_bytes;
            bound += plan.lower_bound;
        }
        assert!(bound <= found && found < greedy, "{bound} {found} {greedy}");
    }

    #[test]
    fn nothing_needs_nothing() {
        assert_eq!(plan(&[]), Plan { offsets: vec![], arena_bytes: 0, lower_bound: 0 });
    }
}
