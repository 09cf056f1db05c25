//! The engine: one loop that owns every workflow, session and queue of this orchestrator.
//!
//! A message comes in, the kernel decides, the decision joins the batch that is being gathered.
//! While a batch is being committed the next one gathers; what depends on a commit (answers, tasks
//! handed out, events told) happens when it is done. What is in memory runs ahead of the store by
//! the batches under way; if one fails, everything in memory is dropped and read again.

mod advance;
mod audit;
mod batch;
mod command;
mod dispatch;
mod entry;

mod finish;
mod freeze;
mod guard;
mod healing;
mod lane;
mod lend;
mod load;
mod mend;
mod observe;
mod permits;
mod pool;
mod reconcile;
mod report;
mod retention;
mod route;
mod session;
mod settling;
mod start;
mod suspects;
mod telling;
mod timers;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use planaria_proto::types::v1::Healing;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::Config;
use crate::definitions::Definitions;
use crate::emitted::EmittedEvents;
use crate::gates::Gates;
use crate::lending::NeedyShards;
use crate::limits::Limits;
use crate::log::LogTail;
use crate::meters::Meters;
use crate::store::{Shard, StoreError, TaskKey, WorkflowStore};
use crate::token::Tokens;
use batch::Batch;
pub(crate) use batch::settled;
pub(crate) use command::{
    Attempted, Command, Emitted, Ended, EndedSession, Handle, Outcome, ReportItem, RetryDecision,
    RetryVerdict, Signalled, StartRequest, Started, Statistics, Steering, VerdictItem, WatchItem,
};
pub(crate) use dispatch::json_payload;
use entry::{Mail, Slot};

use permits::Permits;
use route::Routes;
use session::Session;
pub(crate) use session::{HANDED_MAX, Handed};
use timers::Timers;

/// What the engine is made of.
pub(crate) struct Parts {
    /// The shard that the engine works on.
    pub shard: Shard,
    /// Settings.
    pub config: Config,
    /// The store.
    pub store: Arc<dyn WorkflowStore>,
    /// The definitions.
    pub definitions: Arc<Definitions>,
    /// Signs what is handed out.
    pub tokens: Tokens,
    /// Where committed entries are told.
    pub tail: LogTail,
    /// Evaluates what is not provably bounded.
    pub expressions: Arc<planaria_dsl::ExpressionPool>,
    /// What the retry engine holds back.
    pub gates: Gates,
    /// What operators let run and start.
    pub limits: Limits,
    /// What is counted.
    pub(crate) meters: Meters,
    /// Who is told that a session is over.
    pub ended_sessions: mpsc::Sender<EndedSession>,
    /// Told of events that workflows emit.
    pub emitted: EmittedEvents,
    /// Told when tasks wait for whom no own session has a slot.
    pub waits: NeedyShards,
}

/// What the engine's own helpers tell it. Not bounded, for the engine bounds it: each answers one
/// thing that it asked for, and it asks once for each workflow, batch, look or page.
pub(crate) enum Internal {
    /// A batch was committed, or not.
    Committed(Result<Vec<crate::store::LogEntry>, StoreError>),
    /// A workflow was read.
    Loaded(Uuid, Result<Box<load::Loaded>, Box<load::Unread>>),
    /// An expression was evaluated.
    Evaluated(Uuid, u64, planaria_dsl::Answer),
    /// Timers that come within the horizon.
    Timers(Vec<(crate::store::TimerKey, u64)>),
    /// What the reconciler found.
    Observed(Box<reconcile::Observed>),
    /// What the audit saw.
    Audited(Box<audit::Looked>),
    /// What the store says of limits.
    Settled(settling::Answered),
    /// Workflows that are over for long.
    Expired(Result<crate::store::Expired, StoreError>),
    /// They are removed.
    Removed,
}

/// The engine.
pub(crate) struct Engine {
    parts: Parts,
    inner: mpsc::UnboundedSender<Internal>,
    slots: HashMap<Uuid, Slot>,
    /// Mail for workflows, to be worked off before anything else is taken.
    mail: VecDeque<(Uuid, Mail)>,
    sessions: HashMap<Uuid, Session>,
    workers: HashMap<String, Uuid>,
    routes: Routes,
    permits: Permits,
    /// One settles after the other, also when the engine has forgotten the first.
    settle_turn: Arc<tokio::sync::Mutex<()>>,
    /// Sessions with slots to fill.
    hungry: HashSet<Uuid>,
    /// Lent sessions that may have slots to give back.
    idle_lent: HashSet<Uuid>,
    /// A task began to wait.
    has_news: bool,
    retrying: HashMap<TaskKey, u64>,
    timers: Timers,
    listeners: BTreeMap<TaskKey, String>,
    healings: HashMap<String, Healing>,
    watchers: HashMap<Uuid, Vec<mpsc::Sender<WatchItem>>>,
    /// Idempotency keys of late starts: the store may not show them yet to whoever looks.
    keys: HashMap<String, (Uuid, Vec<u8>)>,
    key_ages: VecDeque<(u64, String)>,
    /// Mail that waits for the next commit.
    mail_after_commit: Vec<(Uuid, Mail)>,
    gathering: Batch,
    committing: Option<Batch>,
    /// Counts the evaluations that were asked for.
    evaluations: u64,

    counters: Statistics,
    /// The store is being read again after a failure.
    generation: u64,
    /// Failures of the store since the last commit.
    failures: u32,
    /// Nothing was read yet, or what was read cannot be trusted any more.
    is_blank: bool,
    /// Another engine works on the shard: this one is over.
    is_replaced: bool,
    reconciliation: reconcile::Reconciliation,
    /// Verdicts on workers that somebody else heard of.
    doubts: HashMap<Uuid, observe::Doubt>,
    audit: audit::Audit,
    retention: retention::Retention,
    last_sweep_ms: u64,
    next_sweep: Instant,
    /// Set while suspects wait or are tried.
    next_trials: Option<Instant>,
    /// Since when suspects wait for a worker that has nothing to do.
    lacking_since: Option<Instant>,
    next_scan: Instant,
    next_reconcile: Instant,
    next_settle: Instant,
}

/// Starts the engine: reads what is open, then answers commands until `stop`, and commits what it
/// has taken before it returns. Returns, with `stop` cancelled, if another engine has replaced it.
pub(crate) async fn run(
    parts: Parts,
    mut commands: mpsc::Receiver<Command>,
    stop: CancellationToken,
) {
    let (inner, mut answers) = mpsc::unbounded_channel();
    let mut engine = Engine::new(parts, inner);
    let mut taken = Vec::with_capacity(256);
    loop {
        if engine.is_blank {
            engine.read_everything(&mut commands, &stop).await;
        }
        if engine.is_replaced {
            stop.cancel();
            return;
        }
        if engine.is_blank {
            // It is to stop, and knows nothing that could be committed.
            return;
        }
        engine.work();
        let deadline = engine.next_deadline();
        tokio::select! {
            biased;
            Some(answer) = answers.recv() => engine.take_answer(answer),
            count = commands.recv_many(&mut taken, 256) => {
                if count == 0 {
                    break;
                }
                for command in taken.drain(..) {
                    engine.take(command);
                }
            }
            () = sleep_until(deadline) => engine.tick(),
            () = stop.cancelled(), if !commands.is_closed() => commands.close(),
        }
    }
    while !engine.is_replaced && (engine.committing.is_some() || !engine.gathering.is_empty()) {
        engine.work();
        match answers.recv().await {
            Some(answer) => engine.take_answer(answer),
            None => break,
        }
    }
}

impl Engine {
    fn new(parts: Parts, inner: mpsc::UnboundedSender<Internal>) -> Self {
        let now = Instant::now();
        let routes = Routes::new(parts.config.ageing_step_ms);
        Self {
            parts,
            inner,
            slots: HashMap::new(),
            mail: VecDeque::new(),
            sessions: HashMap::new(),
            workers: HashMap::new(),
            routes,
            permits: Permits::default(),
            settle_turn: Arc::default(),
            hungry: HashSet::new(),
            idle_lent: HashSet::new(),
            has_news: false,
            retrying: HashMap::new(),
            timers: Timers::default(),
            listeners: BTreeMap::new(),
            healings: HashMap::new(),
            watchers: HashMap::new(),
            keys: HashMap::new(),
            key_ages: VecDeque::new(),
            mail_after_commit: Vec::new(),
            gathering: Batch::default(),
            committing: None,
            evaluations: 0,
            counters: Statistics::default(),
            generation: 0,
            failures: 0,
            is_blank: true,
            is_replaced: false,
            reconciliation: reconcile::Reconciliation::default(),
            doubts: HashMap::new(),
            audit: audit::Audit::new(now),
            retention: retention::Retention::new(now),
            last_sweep_ms: planaria_runtime::clock::now_ms(),
            next_sweep: now,
            next_trials: None,
            lacking_since: None,
            next_scan: now,
            next_reconcile: now,
            next_settle: now,
        }
    }

    /// Works off the mail, fills free slots, and sends the batch off if none is under way.
    fn work(&mut self) {
        loop {
            while let Some((id, mail)) = self.mail.pop_front() {
                self.deliver(id, mail);
            }
            self.fill_hungry();
            if self.mail.is_empty() {
                break;
            }
        }
        self.return_idle();
        self.settle_limits();
        if std::mem::take(&mut self.has_news) && self.routes.is_open() {
            self.parts.waits.tell(self.parts.shard);
        }
        self.send_off();
    }

    fn next_deadline(&self) -> Instant {
        let timer = self.timers.next_due_ms().map(|due_ms| {
            let wait_ms = due_ms.saturating_sub(planaria_runtime::clock::now_ms());
            Instant::now() + Duration::from_millis(wait_ms)
        });
        let own = self.next_sweep.min(self.next_scan).min(self.next_reconcile);
        let own = own.min(self.retention.next()).min(self.audit.next);
        let own = if self.permits.is_active() { own.min(self.next_settle) } else { own };
        let own = self.next_trials.map_or(own, |trials| own.min(trials));
        timer.map_or(own, |timer| timer.min(own))
    }

    /// What is to be done by the clock.
    fn tick(&mut self) {
        let now = Instant::now();
        self.fire_due_timers();
        let settings = &self.parts.config;
        let after = |ms: u64| now + Duration::from_millis(ms.max(1));
        let (sweep, scan, reconcile) =
            (after(settings.sweep_ms), after(settings.timer_scan_ms), after(settings.reconcile_ms));
        if now >= self.next_sweep {
            self.next_sweep = sweep;
            self.sweep_leases();
            self.settle_doubts();
            self.next_trials = Some(now);
            self.forget_old_keys();
            self.forget_closed_watchers();
        }
        if self.next_trials.is_some_and(|trials| now >= trials) {
            self.keep_for_suspects();
        }
        if now >= self.next_scan {
            self.next_scan = scan;
            self.scan_timers();
        }
        if now >= self.next_reconcile {
            self.next_reconcile = reconcile;
            self.observe_for_repairs();
            self.adopt_rules();
        }
        if now >= self.audit.next {
            self.look_into_books();
        }
        if now >= self.next_settle {
            self.next_settle = after(self.parts.config.settle_ms);
            self.permits.wish();
        }
        if now >= self.retention.next() {
            self.look_for_expired();
        }
    }

    fn take_answer(&mut self, answer: Internal) {
        match answer {
            Internal::Committed(Ok(entries)) => self.committed(entries),
            Internal::Committed(Err(error)) => self.commit_failed(&error),
            Internal::Loaded(id, loaded) => self.loaded(id, loaded),
            Internal::Evaluated(id, number, answer) => self.evaluated(id, number, answer),
            Internal::Timers(timers) => self.arm_scanned(&timers),
            Internal::Observed(observed) => self.repair(*observed),
            Internal::Audited(looked) => self.audited(*looked),
            Internal::Settled(answered) => self.limits_settled(answered),
            Internal::Expired(found) => self.remove_expired(found),
            Internal::Removed => self.removed(),
        }
    }
}
