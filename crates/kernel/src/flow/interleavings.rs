//! No interleaving of shards that settle, start, end, die and are taken over has more running than
//! the limit.

use proptest::prelude::*;

use super::{Claim, Grant, Held, Holder, settle};

const SHARDS: usize = 3;

/// What one shard does next.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Tasks come.
    Come(u32),
    /// As many waiting ones start as may, at most so many.
    Start(u32),
    /// So many attempts end.
    End(u32),
    /// It says what it has and wants. Nothing happens while it waits for an answer.
    Claim,
    /// What it said arrives: the others see it from now on.
    Settle,
    /// The answer arrives.
    Answer,
    /// The answer is lost: it goes on with what it kept.
    LoseAnswer,
    /// Its process dies; another takes it over, and knows nothing but what runs. What was said and
    /// not settled is never settled.
    Die,
}

#[derive(Clone, Debug)]
struct Shard {
    holder: Holder,
    waiting: u32,
    said: Option<Claim>,
    answer: Option<Grant>,
}

/// What the store shows of a shard.
type Row = Held;

struct Mesh {
    total: u32,
    shards: Vec<Shard>,
    rows: Vec<Row>,
    settled: u64,
}

impl Mesh {
    fn new(total: u32) -> Self {
        let shard = Shard { holder: Holder::new(0), waiting: 0, said: None, answer: None };
        let rows = vec![Row { wanted: 0, granted: 0 }; SHARDS];
        Self { total, shards: vec![shard; SHARDS], rows, settled: 0 }
    }

    fn running(&self) -> u32 {
        self.shards.iter().map(|shard| shard.holder.running()).sum()
    }

    fn act(&mut self, at: usize, act: Act) {
        let shard = &mut self.shards[at];
        match act {
            Act::Come(count) => shard.waiting += count,
            Act::Start(most) => {
                for _ in 0..most.min(shard.holder.room()).min(shard.waiting) {
                    shard.holder.start();
                    shard.waiting -= 1;
                }
            }
            Act::End(count) => {
                for _ in 0..count.min(shard.holder.running()) {
                    shard.holder.end();
                }
            }
            Act::Claim => {
                if shard.said.is_none() && shard.answer.is_none() {
                    shard.said = Some(shard.holder.claim(shard.waiting));
                }
            }
            Act::Settle => self.settle(at),
            Act::Answer => {
                if let Some(grant) = shard.answer.take() {
                    shard.holder.told(grant);
                }
            }
            Act::LoseAnswer => shard.answer = None,
            Act::Die => {
                shard.holder = Holder::new(shard.holder.running());
                shard.said = None;
                shard.answer = None;
            }
        }
    }

    fn settle(&mut self, at: usize) {
        let Some(claim) = self.shards[at].said.take() else { return };
        let others: Vec<Row> =
            (0..SHARDS).filter(|other| *other != at).map(|other| self.rows[other]).collect();
        self.settled += 1;
        // Time passes: after some rounds it is another's turn.
        let turn = self.settled / (4 * SHARDS as u64);
        let grant = settle(self.total, claim, &others, at, turn);
        self.rows[at] = Row { wanted: claim.wanted, granted: grant.granted };
        self.shards[at].answer = Some(grant);
    }

    /// Everybody settles in turn, ends what it runs and starts what it may.
    fn round(&mut self) {
        for at in 0..SHARDS {
            for act in [Act::Answer, Act::Claim, Act::Settle, Act::Answer, Act::End(9)] {
                self.act(at, act);
            }
            self.act(at, Act::Start(u32::MAX));
        }
    }
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let act = prop_oneof![
        2 => (1..6_u32).prop_map(Act::Come),
        4 => (1..6_u32).prop_map(Act::Start),
        3 => (1..4_u32).prop_map(Act::End),
        4 => Just(Act::Claim),
        4 => Just(Act::Settle),
        4 => Just(Act::Answer),
        1 => Just(Act::LoseAnswer),
        1 => Just(Act::Die),
    ];
    prop::collection::vec((0..SHARDS, act), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_more_run_than_the_limit_says(total in 1..8_u32, acts in acts()) {
        let mut mesh = Mesh::new(total);
        for (at, act) in acts {
            mesh.act(at, act);
            let granted: u32 = mesh.rows.iter().map(|row| row.granted).sum();
            prop_assert!(mesh.running() <= total, "{} run", mesh.running());
            prop_assert!(granted <= total, "{granted} are granted");
        }
    }

    /// After any past: as long as tasks wait anywhere, they come to their turn.
    #[test]
    fn whatever_waits_starts_in_the_end(total in 1..8_u32, acts in acts()) {
        let mut mesh = Mesh::new(total);
        for (at, act) in acts {
            mesh.act(at, act);
        }
        let waiting = |mesh: &Mesh| mesh.shards.iter().map(|shard| shard.waiting).sum::<u32>();
        for _ in 0..waiting(&mesh) * 12 + 24 {
            mesh.round();
        }
        prop_assert_eq!(waiting(&mesh), 0);
    }

    /// A limit that is lowered: what runs ends, and nothing starts before fewer run than it says.
    #[test]
    fn a_lowered_limit_is_reached_and_kept(
        total in 3..9_u32, lowered in 1..3_u32, before in acts(), after in acts(),
    ) {
        let mut mesh = Mesh::new(total);
        for (at, act) in before {
            mesh.act(at, act);
        }
        mesh.total = lowered;
        // Everybody hears of it.
        for at in 0..SHARDS {
            for act in [Act::Settle, Act::Answer, Act::Claim, Act::Settle, Act::Answer] {
                mesh.act(at, act);
            }
        }
        let mut ran = mesh.running();
        for (at, act) in after {
            mesh.act(at, act);
            let run = mesh.running();
            prop_assert!(run <= ran.max(lowered), "{run} run after {ran}");
            ran = run;
        }
    }
}
