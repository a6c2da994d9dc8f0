//! Fields and rules that an artifact can violate, as codes: their words are linked only where they are shown.

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum $type {
            $(#[doc = $name] $variant,)*
        }

        impl $type {
            /// In words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(super) use names;

names! {
    /// A field, in the names of [`super::manifest`], or what follows from some.
    Field {
        AbstentionAccepted = "abstention.accepted",
        AbstentionConfidenceMillionths = "abstention.confidence_millionths",
        AbstentionErrors = "abstention.errors",
        AbstentionExamples = "abstention.examples",
        AbstentionPolicyNumSamples = "abstention.policy.num_samples",
        AbstentionRiskMillionths = "abstention.risk_millionths",
        AbstentionThreshold = "abstention.threshold",
        Adaptive = "adaptive",
        AdaptiveConfidenceMillionths = "adaptive.confidence_millionths",
        AdaptiveDeltaMillionths = "adaptive.delta_millionths",
        AdaptiveDiffering = "adaptive.differing",
        AdaptiveExamples = "adaptive.examples",
        AdaptiveGroup = "adaptive.group",
        AdaptiveMeanPasses = "adaptive.mean_passes",
        AdaptiveSamplesMax = "adaptive.samples_max",
        AdaptiveSamplesMin = "adaptive.samples_min",
        AdaptiveThreshold = "adaptive.threshold",
        Axis = "axis",
        BytesBehindTheLastLayer = "bytes behind the last layer",
        ClampMin = "clamp.min",
        ClassNames = "class_names",
        ColumnOfPadding = "first output column whose window reads only padding",
        ConformalAlphas = "conformal.alphas",
        ConformalExamples = "conformal.examples",
        ConformalPolicyNumSamples = "conformal.policy.num_samples",
        ConformalRapsLambda = "conformal.raps_lambda",
        ConformalRapsRank = "conformal.raps_rank",
        ConformalThresholds = "conformal.thresholds",
        DriftAbove = "drift.above",
        DriftBelow = "drift.below",
        DriftBets = "drift.bets",
        DriftExamples = "drift.examples",
        DriftFalseAlarmMillionths = "drift.false_alarm_millionths",
        DriftPolicyNumSamples = "drift.policy.num_samples",
        DriftReferenceMillionths = "drift.reference_millionths",
        DriftThresholds = "drift.thresholds",
        Input = "input",
        InputMean = "input.mean",
        InputMultiplier = "input.multiplier",
        InputScaleByOutputScale = "input.scale / output.scale",
        InputTensor = "input.tensor",
        InputTensorOffset = "input.tensor.offset",
        Layer = "layer",
        LayerCount = "layer_count",
        Layers = "layers",
        Manifest = "manifest",
        Multiplier = "multiplier",
        MultiplierA = "multiplier_a",
        MultiplierB = "multiplier_b",
        Output = "output",
        OutputChannels = "output.channels",
        OutputHeight = "output.height",
        OutputHeightAndWidth = "output height and width",
        OutputOffset = "output.offset",
        OutputScale = "output.scale",
        OutputWidth = "output.width",
        Outputs = "outputs",
        PaddingBelow = "padding below that output.height needs",
        PaddingRight = "padding right that output.width needs",
        PosteriorKind = "posterior.kind",
        PosteriorLogVar = "posterior.log_var",
        PosteriorLogVarMax = "posterior.log_var_max",
        PosteriorLogVarStep = "posterior.log_var_step",
        PosteriorNoiseMultiplier = "posterior.noise_multiplier",
        PosteriorPriorPriorSigma = "posterior.prior.prior_sigma",
        PosteriorPriorTemperature = "posterior.prior.temperature",
        PosteriorTable = "posterior.table",
        ReleaseOfUnsigned = "release of an unsigned file",
        RowOfPadding = "first output row whose window reads only padding",
        SecondInput = "b",
        Table = "table",
        Task = "task",
        Temperature = "temperature",
        Weights = "weights",
        WeightsBias = "weights.bias",
        WeightsBiasLen = "weights.bias.len",
        WeightsMultiplier = "weights.multiplier",
        WeightsValues = "weights.values",
        WindowDilation0 = "window.dilation[0]",
        WindowDilation1 = "window.dilation[1]",
        WindowKernel = "window.kernel",
        WindowKernel0 = "window.kernel[0]",
        WindowKernel1 = "window.kernel[1]",
        WindowPad0 = "window.pad[0]",
        WindowPad1 = "window.pad[1]",
        WindowStride0 = "window.stride[0]",
        WindowStride1 = "window.stride[1]",
    }
}

names! {
    /// What should hold.
    Rule {
        AccumulatorsFit = "accumulators that fit an i32 for every input",
        BayesianLayer = "a layer 0 that can be Bayesian in this way",
        BetWithoutGain = "a bet that does not gain on average",
        Classification = "a classification where thresholds of one are given",
        ClassificationWithPosterior = "a classification with a posterior",
        CoveringBounds = "bounds that sum to at least 1 with those of drift.below",
        Factor = "a factor of 0 to 2^20",
        Finite = "a finite number",
        Increasing = "strictly increasing numbers",
        Margin = "a margin of 0 to 1",
        NetworkInput = "the network's input, as the manifest's head has it",
        NoOverlap = "a place that overlaps no input",
        NoiseFits = "noise accumulators that fit an i32 for every input and draw",
        NotEmpty = "no dimension of 0",
        NotNegative = "finite and not negative",
        OneInput = "one input, the network's",
        OneOutputLayer = "one output layer, at the end",
        OrderedBounds = "bounds in the order of their thresholds",
        PassesOfSamplesMax = "1 to samples_max + 1",
        Positive = "a normal positive number up to 2^32",
        Probability = "a probability",
        SameQuantization = "scale and zero_point of the input",
        SameShape = "the shape of the first input",
        Written = "a tensor that an earlier layer wrote and none overwrote",
    }
}
