//! Log files as the table `logs`, and the query that evaluates it.

use crate::aggregate::function;
use crate::classification::Classification;
use crate::regression::Regression;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, config_err};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions, SessionConfig, SessionContext};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// How much of the machine a query takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Partitions that are read side by side; 0: as many as there are cores.
    pub threads: usize,
    /// Bytes that operators which keep rows may take.
    pub memory: usize,
}

/// A session that knows the aggregate functions.
///
/// # Errors
/// If the engine cannot be set up.
pub fn session(limits: Limits) -> Result<SessionContext> {
    let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory)));
    let config = SessionConfig::new().with_target_partitions(limits.threads);
    let context = SessionContext::new_with_config_rt(config, Arc::new(runtime.build()?));
    context.register_udaf(function::<Classification>());
    context.register_udaf(function::<Regression>());
    Ok(context)
}

/// Makes files of one kind (`.parquet`, `.jsonl`, `.ndjson`, `.json` or `.csv`) the table `logs`.
///
/// # Errors
/// If a file cannot be read, or they are of several kinds.
pub async fn register(context: &SessionContext, files: &[String]) -> Result<DFSchema> {
    let extension = |file: &String| Path::new(file).extension().map(|e| e.to_string_lossy().to_lowercase());
    let Some(kind) = files.first().and_then(extension) else {
        return config_err!("logs: found no file with an extension, expected one at least");
    };
    if let Some(other) = files.iter().find(|file| extension(file).as_ref() != Some(&kind)) {
        return config_err!("{other}: found another kind than .{kind}, expected files of one kind");
    }
    let (files, dotted) = (files.to_vec(), format!(".{kind}"));
    let table: DataFrame = match kind.as_str() {
        "parquet" => context.read_parquet(files, ParquetReadOptions::default()).await?,
        "jsonl" | "ndjson" | "json" => {
            context.read_json(files, JsonReadOptions::default().file_extension(&dotted)).await?
        }
        "csv" => context.read_csv(files, CsvReadOptions::new()).await?,
        _ => return config_err!("{}: expected .parquet, .jsonl, .ndjson, .json or .csv", files[0]),
    };
    let schema = table.schema().clone();
    context.register_table("logs", table.into_view())?;
    Ok(schema)
}

/// The aggregate that suits the columns of `logs`.
///
/// # Errors
/// If they are those of no log; names what is missing.
pub fn aggregate(schema: &DFSchema) -> Result<String> {
    let has = |name: &str| schema.has_column_with_unqualified_name(name);
    let quoted = |name: &str| format!("\"{name}\"");
    let passes = if has("passes") { "passes" } else { "CAST(NULL AS BIGINT)" };
    if has("label") && has("probabilities") {
        return Ok(format!("stf_classification(label, {passes}, probabilities)"));
    }
    if has("label") && has("p0") {
        let columns = (0..).map(|class| format!("p{class}")).take_while(|name| has(name));
        let columns = columns.map(|name| quoted(&name)).collect::<Vec<_>>().join(", ");
        return Ok(format!("stf_classification(label, {passes}, {columns})"));
    }
    if ["y", "mean", "aleatoric_variance", "epistemic_variance"].into_iter().all(has) {
        let interval = if has("low") && has("high") { ", \"low\", \"high\"" } else { "" };
        return Ok(format!("stf_regression(\"y\", \"mean\", aleatoric_variance, epistemic_variance{interval})"));
    }
    let found = schema.field_names().join(", ");
    config_err!(
        "logs: found columns {found}, expected label with probabilities or p0, p1 ..., or y, mean, \
         aleatoric_variance and epistemic_variance"
    )
}

/// Figures of all rows, and of those with each value of the column `by`, as `stf eval --log --json` prints them.
///
/// # Errors
/// If the files are no logs, there is no such column, or reading fails.
pub async fn evaluate(context: &SessionContext, files: &[String], by: Option<&str>) -> Result<Value> {
    let schema = register(context, files).await?;
    let aggregate = aggregate(&schema)?;
    let all = rows(context, &format!("SELECT '' AS g, {aggregate} AS f FROM logs")).await?;
    let mut result = Map::new();
    result.insert("log".into(), json!(files));
    result.insert("by".into(), json!(by));
    for (_, figures) in all {
        result.extend(figures);
    }
    if let Some(by) = by {
        let column = format!("\"{}\"", by.replace('"', "\"\""));
        let query = format!(
            "SELECT CAST({column} AS VARCHAR) AS g, {aggregate} AS f FROM logs GROUP BY {column} ORDER BY g"
        );
        let groups = rows(context, &query).await?.into_iter().map(|(group, figures)| {
            let mut entry = Map::new();
            entry.insert("group".into(), json!(group));
            entry.extend(figures);
            Value::Object(entry)
        });
        result.insert("groups".into(), groups.collect());
    }
    Ok(Value::Object(result))
}

/// Groups and their figures.
async fn rows(context: &SessionContext, query: &str) -> Result<Vec<(String, Map<String, Value>)>> {
    let mut found = Vec::new();
    for batch in context.sql(query).await?.collect().await? {
        let text = |index: usize| cast(batch.column(index), &DataType::Utf8);
        let (groups, figures) = (text(0)?, text(1)?);
        let (groups, figures) = (groups.as_string::<i32>(), figures.as_string::<i32>());
        for (group, figures) in groups.iter().zip(figures) {
            let figures = figures.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            found.push((group.unwrap_or_default().to_string(), figures));
        }
    }
    Ok(found)
}
