//! Figures of a log; the field names are what scripts read.

use super::tally::{ClassTally, Tally, TargetTally};
use serde::{Deserialize, Serialize};
use std::fmt;
use stf_bnn::uncertainty::{BINS, Bin, Calibration};

/// Figures of a log of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogFigures {
    /// Of a classifier.
    Classes(ClassFigures),
    /// Of a regression.
    Targets(TargetFigures),
}

/// Figures of logged classifications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Labelled predictions.
    pub n: u64,
    /// Rows without a label: in no figure.
    pub unlabelled: u64,
    /// Rows whose label is no class, or whose values are no probabilities: in no figure.
    pub rejected: u64,
    /// Passes that a prediction took, on average; `null` if no row says.
    pub mean_passes: Option<f64>,
    /// Share of right classes, 0 to 1; every figure is `null` without labelled predictions.
    pub accuracy: Option<f64>,
    /// Negative log likelihood, nats.
    pub nll: Option<f64>,
    /// Brier score, summed over classes.
    pub brier: Option<f64>,
    /// Expected calibration error, 15 equal-width bins.
    pub ece: Option<f64>,
    /// Greatest calibration error of a bin.
    pub mce: Option<f64>,
    /// Area under the risk-coverage curve, by the greatest probability, in 1,024 bins.
    pub aurc: Option<f64>,
    /// Area under the ROC curve of wrong against right predictions by one minus the greatest probability, in
    /// 1,024 bins; `null` if all are right or all are wrong.
    pub misclassification_auroc: Option<f64>,
    /// The reliability diagram: the bins that are not empty.
    pub reliability: Vec<ReliabilityBin>,
}

/// One bar of the reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Confidences above this.
    pub low: f64,
    /// Confidences up to this.
    pub high: f64,
    /// Predictions.
    pub count: u64,
    /// Share of right ones.
    pub accuracy: f64,
    /// Mean confidence.
    pub confidence: f64,
}

/// Figures of logged targets, in their units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetFigures {
    /// Predictions with their values.
    pub n: u64,
    /// Rows without a value: in no figure.
    pub unlabelled: u64,
    /// Rows with numbers that are not finite, or without a positive variance: in no figure.
    pub rejected: u64,
    /// Root mean squared error; every figure is `null` without values.
    pub rmse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Negative log likelihood, nats.
    pub nll: Option<f64>,
    /// Root of the mean aleatoric variance.
    pub aleatoric: Option<f64>,
    /// Root of the mean epistemic variance.
    pub epistemic: Option<f64>,
    /// Prediction intervals; `null` if no row has one.
    pub intervals: Option<IntervalRow>,
}

/// Prediction intervals of a log.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntervalRow {
    /// Rows with an interval.
    pub n: u64,
    /// Share of intervals that hold their value.
    pub coverage: f64,
    /// Mean width.
    pub mean_width: f64,
}

impl ReliabilityBin {
    /// The bars of the bins that are not empty.
    #[must_use]
    pub fn all(calibration: &Calibration) -> Vec<Self> {
        let bar = |(index, bin): (usize, &Bin)| {
            Some(Self {
                low: index as f64 / BINS as f64,
                high: (index + 1) as f64 / BINS as f64,
                count: bin.count,
                accuracy: bin.accuracy()?,
                confidence: bin.mean_confidence()?,
            })
        };
        calibration.bins().iter().enumerate().filter_map(bar).collect()
    }
}

impl ClassTally {
    /// Figures of the rows so far.
    #[must_use]
    pub fn figures(&self) -> ClassFigures {
        let c = &self.calibration;
        let known = |figure: f64| (c.count() > 0).then_some(figure);
        let auroc = self.errors.as_ref().map(|errors| errors.ranking().auroc());
        ClassFigures {
            n: c.count(),
            unlabelled: self.unlabelled,
            rejected: self.rejected,
            mean_passes: (self.passes.1 > 0).then(|| self.passes.0 as f64 / self.passes.1 as f64),
            accuracy: known(c.accuracy()),
            nll: known(c.nll()),
            brier: known(c.brier()),
            ece: known(c.ece()),
            mce: known(c.mce()),
            aurc: self.errors.as_ref().map(|errors| errors.selective().aurc()),
            misclassification_auroc: auroc.filter(|auroc| auroc.is_finite()),
            reliability: ReliabilityBin::all(c),
        }
    }
}

impl TargetTally {
    /// Figures of the rows so far.
    #[must_use]
    pub fn figures(&self) -> TargetFigures {
        let (f, i) = (&self.figures, &self.intervals);
        let known = |figure: f64| (f.count() > 0).then_some(figure);
        let row = || IntervalRow { n: i.count(), coverage: i.coverage(), mean_width: i.mean_width() };
        TargetFigures {
            n: f.count(),
            unlabelled: self.unlabelled,
            rejected: self.rejected,
            rmse: known(f.rmse()),
            mae: known(f.mae()),
            nll: known(f.nll()),
            aleatoric: known(f.aleatoric_variance().sqrt()),
            epistemic: known(f.epistemic_variance().sqrt()),
            intervals: (i.count() > 0).then(row),
        }
    }
}

impl Tally {
    /// Figures of the rows so far.
    #[must_use]
    pub fn figures(&self) -> LogFigures {
        match self {
            Self::Classes(tally) => LogFigures::Classes(tally.figures()),
            Self::Targets(tally) => LogFigures::Targets(tally.figures()),
        }
    }
}

impl fmt::Display for LogFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes(figures) => figures.fmt(f),
            Self::Targets(figures) => figures.fmt(f),
        }
    }
}

impl fmt::Display for ClassFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passes =
            self.mean_passes.map_or(String::new(), |passes| format!(", {passes:.2} passes a prediction"));
        writeln!(f, "{} predictions{passes}{}", self.n, left_out(self.unlabelled, self.rejected))?;
        writeln!(f, "  accuracy {:>8} %", number(self.accuracy.map(|share| 100.0 * share), 2))?;
        writeln!(f, "  NLL      {:>8} nats", number(self.nll, 4))?;
        writeln!(f, "  Brier    {:>8}", number(self.brier, 4))?;
        writeln!(f, "  ECE      {:>8}, MCE {}", number(self.ece, 4), number(self.mce, 4))?;
        let auroc = number(self.misclassification_auroc, 4);
        write!(f, "  AURC     {:>8}, AUROC of wrong predictions {auroc}", number(self.aurc, 4))
    }
}

impl fmt::Display for TargetFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} predictions{}", self.n, left_out(self.unlabelled, self.rejected))?;
        write!(
            f,
            "  RMSE {}, MAE {}, NLL {} nats, standard deviation aleatoric {}, epistemic {}",
            number(self.rmse, 5),
            number(self.mae, 5),
            number(self.nll, 4),
            number(self.aleatoric, 5),
            number(self.epistemic, 5)
        )?;
        if let Some(row) = &self.intervals {
            let percent = 100.0 * row.coverage;
            write!(f, "\n  intervals: {percent:.2} % hold the value, {:.5} wide on average", row.mean_width)?;
        }
        Ok(())
    }
}

/// A figure with so many digits behind the point; a dash where there is none.
fn number(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_string(), |figure| format!("{figure:.digits$}"))
}

fn left_out(unlabelled: u64, rejected: u64) -> String {
    let part = |count: u64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
    part(unlabelled, "without a label") + &part(rejected, "rejected")
}
