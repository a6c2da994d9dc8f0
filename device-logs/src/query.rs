//! Log files as the table `logs`, and the query that evaluates it.

use crate::aggregate::function;
use crate::classification::Classification;
use crate::regression::Regression;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::common::{DFSchema, Result, config_err, exec_err};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{
    CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions, SessionConfig, SessionContext,
};
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
    let config = SessionConfig::new();
    let config = if limits.threads > 0 { config.with_target_partitions(limits.threads) } else { config };
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
        "csv" => read_csv(context, files).await?,
        _ => return config_err!("{}: expected .parquet, .jsonl, .ndjson, .json or .csv", files[0]),
    };
    let schema = table.schema().clone();
    context.register_table("logs", table.into_view())?;
    Ok(schema)
}

/// Known columns have their types, whatever the first rows look like: numbers are read as the f32 they were written
/// as, and what is no number is an error that names its line.
async fn read_csv(context: &SessionContext, files: Vec<String>) -> Result<DataFrame> {
    let inferred = context.read_csv(files.clone(), CsvReadOptions::new()).await?;
    let fields = inferred.schema().fields().iter().map(|field| match known_type(field.name()) {
        Some(known) => Field::new(field.name(), known, true),
        None => field.as_ref().clone(),
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    context.read_csv(files, CsvReadOptions::new().schema(&schema)).await
}

/// Type of a column of the names that logs have.
fn known_type(name: &str) -> Option<DataType> {
    let class = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    match name {
        "label" | "passes" => Some(DataType::Int64),
        "y" | "mean" | "aleatoric_variance" | "epistemic_variance" | "low" | "high" => {
            Some(DataType::Float32)
        }
        _ => name.strip_prefix('p').filter(|rest| class(rest)).map(|_| DataType::Float32),
    }
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
        return Ok(format!(
            "stf_regression(\"y\", \"mean\", aleatoric_variance, epistemic_variance{interval})"
        ));
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
    let query = match by {
        None => format!("SELECT 1 AS whole, '' AS g, {aggregate} AS f FROM logs"),
        // One pass: every row counts for the whole and for its group.
        Some(by) => {
            let column = format!("\"{}\"", by.replace('"', "\"\""));
            format!(
                "SELECT GROUPING({column}) AS whole, CAST({column} AS VARCHAR) AS g, {aggregate} AS f FROM logs \
                 GROUP BY GROUPING SETS ((), ({column})) ORDER BY g NULLS FIRST"
            )
        }
    };
    let (mut result, mut groups) = (Map::new(), Vec::new());
    result.insert("log".into(), json!(files));
    result.insert("by".into(), json!(by));
    for (whole, group, figures) in rows(context, &query).await? {
        if whole {
            result.extend(figures);
            continue;
        }
        let mut entry = Map::new();
        entry.insert("group".into(), json!(group));
        entry.extend(figures);
        groups.push(Value::Object(entry));
    }
    let counted = |name: &str| result.get(name).and_then(Value::as_u64).unwrap_or(0);
    if counted("n") + counted("unlabelled") + counted("rejected") == 0 {
        return exec_err!("logs: found no row, expected at least one");
    }
    if by.is_some() {
        result.insert("groups".into(), groups.into());
    }
    Ok(Value::Object(result))
}

/// Whether it is the whole, the group, and the figures, of each row of the query's result.
async fn rows(context: &SessionContext, query: &str) -> Result<Vec<(bool, String, Map<String, Value>)>> {
    let mut found = Vec::new();
    for batch in context.sql(query).await?.collect().await? {
        let column = |index: usize, to: &DataType| cast(batch.column(index), to);
        let (whole, groups, figures) =
            (column(0, &DataType::Int64)?, column(1, &DataType::Utf8)?, column(2, &DataType::Utf8)?);
        let (whole, groups, figures) =
            (whole.as_primitive::<Int64Type>(), groups.as_string::<i32>(), figures.as_string::<i32>());
        for ((whole, group), figures) in whole.iter().zip(groups).zip(figures) {
            let figures = figures.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            found.push((whole == Some(1), group.unwrap_or_default().to_string(), figures));
        }
    }
    Ok(found)
}
