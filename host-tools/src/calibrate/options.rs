//! What to calibrate for.

use super::abstention::Judged;
use super::conformal::Example;
use super::share::Share;
use crate::binomial;
use crate::error::{Error, Result};
use stf_bnn::Config;
use stf_bnn::uncertainty::{Penalty, Score};

/// Settings of [`calibrate`](super::calibrate).
#[derive(Debug, Clone)]
pub struct Options {
    /// How the device will predict.
    pub config: Config,
    /// Shares of prediction sets that may miss the label, strictly increasing.
    pub alphas: Wanted<Vec<Share>>,
    /// One threshold a class.
    pub class_conditional: bool,
    /// Randomized APS and RAPS.
    pub randomized: bool,
    /// Penalty of RAPS.
    pub penalty: Penalty,
    /// Score of abstention and drift monitor.
    pub score: Score,
    /// Greatest share of wrong ones among the accepted predictions.
    pub risk: Wanted<Share>,
    /// Confidence in it.
    pub confidence: Share,
    /// Greatest probability of a false alarm of the drift monitor, ever.
    pub false_alarm: Share,
}

/// A value, and whether the user asked for it: then it is refused if it cannot be had, else left out
/// with a notice.
#[derive(Debug, Clone)]
pub struct Wanted<T> {
    /// The value.
    pub share: T,
    /// Whether it was asked for.
    pub asked: bool,
}

fn millionths(millionths: u32) -> Share {
    Share::from_millionths(millionths).unwrap_or_else(|_| unreachable!("a constant between 0 and 1"))
}

impl Default for Options {
    /// Sets at alpha .01, .05 and .1, risk .02 with confidence .95, false alarms .01, none of them
    /// insisted on; the runtime's default sampling.
    fn default() -> Self {
        Self {
            config: Config::default(),
            alphas: Wanted { share: [10_000, 50_000, 100_000].map(millionths).to_vec(), asked: false },
            class_conditional: false,
            randomized: false,
            penalty: Penalty { lambda: 0.01, rank: 2 },
            score: Score::PredictiveEntropy,
            risk: Wanted { share: millionths(20_000), asked: false },
            confidence: millionths(950_000),
            false_alarm: millionths(10_000),
        }
    }
}

impl Options {
    /// Half of the false alarms pay for the reference being a sample.
    pub(super) fn reference_delta(&self) -> Result<Share> {
        let half = self.false_alarm.millionths() / 2;
        Share::from_millionths(half)
            .map_err(|_| Error::invalid("--false-alarm", self.false_alarm, "at least 0.000002"))
    }

    /// The alphas that these examples suffice for.
    pub(super) fn usable_alphas(
        &self,
        examples: &[Example<'_>],
        notices: &mut Vec<String>,
    ) -> Result<Vec<Share>> {
        let available = self.least_group(examples);
        let whose = if self.class_conditional { " of the rarest class" } else { "" };
        self.alphas_for(available, whose, notices)
    }

    /// The alphas that so many examples suffice for; `whose` says which they are.
    pub(super) fn alphas_for(
        &self,
        available: usize,
        whose: &str,
        notices: &mut Vec<String>,
    ) -> Result<Vec<Share>> {
        let alphas = &self.alphas.share;
        if alphas.is_empty() || alphas.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::invalid("alphas", format!("{} values", alphas.len()), "different ones"));
        }
        let (usable, others): (Vec<Share>, Vec<Share>) =
            alphas.iter().partition(|alpha| alpha.rank(available).is_some());
        for alpha in others {
            let what = format!("calibration examples{whose} for alpha {alpha}");
            let least = format!("at least {}", alpha.least_count());
            if self.alphas.asked {
                return Err(Error::invalid(what, available, least));
            }
            notices.push(format!(
                "no sets or intervals at alpha {alpha}: {available} examples, it takes {least}"
            ));
        }
        Ok(usable)
    }

    /// Examples of the rarest class if each has its own threshold, else all.
    fn least_group(&self, examples: &[Example<'_>]) -> usize {
        if !self.class_conditional {
            return examples.len();
        }
        let classes = examples.first().map_or(0, |example| example.probabilities.len());
        let count = |class| examples.iter().filter(|example| example.label == class).count();
        (0..classes).map(count).min().unwrap_or(0)
    }
}

impl Wanted<Share> {
    /// No threshold was certified: an error if one was asked for.
    pub(super) fn refuse(
        &self,
        judged: &[Judged],
        confidence: Share,
        notices: &mut Vec<String>,
    ) -> Result<()> {
        let wrong = judged.iter().filter(|(_, wrong)| *wrong).count();
        let found = format!("{wrong} wrong of {} examples", judged.len());
        let least = binomial::least_trials(self.share.value(), confidence.value());
        if self.asked {
            return Err(Error::invalid(
                format!("abstention: a risk of {} with confidence {confidence}", self.share),
                found,
                format!("fewer errors among the most certain, or more examples: {least} at least"),
            ));
        }
        notices.push(format!(
            "no abstention: {found} do not certify a risk of {} with confidence {confidence}",
            self.share
        ));
        Ok(())
    }
}
