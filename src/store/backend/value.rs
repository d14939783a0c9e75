//! Bound values, independent of the database.

/// A value for a placeholder. Absent values keep their type, because Postgres wants one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Boolean(Option<bool>),
    Bytes(Option<Vec<u8>>),
}

/// A Rust type that can be bound.
pub trait Bind: Sized {
    /// The absent value of the type.
    const NULL: Value;

    fn value(self) -> Value;
}

impl<T: Bind> Bind for Option<T> {
    const NULL: Value = T::NULL;

    fn value(self) -> Value {
        self.map_or(T::NULL, T::value)
    }
}

impl<T: Bind + Clone> Bind for &T {
    const NULL: Value = T::NULL;

    fn value(self) -> Value {
        self.clone().value()
    }
}

impl Bind for Value {
    const NULL: Value = Value::Text(None);

    fn value(self) -> Value {
        self
    }
}

impl Bind for &str {
    const NULL: Value = Value::Text(None);

    fn value(self) -> Value {
        Value::Text(Some(self.to_owned()))
    }
}

impl Bind for String {
    const NULL: Value = Value::Text(None);

    fn value(self) -> Value {
        Value::Text(Some(self))
    }
}

impl Bind for i64 {
    const NULL: Value = Value::Integer(None);

    fn value(self) -> Value {
        Value::Integer(Some(self))
    }
}

impl Bind for i32 {
    const NULL: Value = Value::Integer(None);

    fn value(self) -> Value {
        Value::Integer(Some(self.into()))
    }
}

impl Bind for u32 {
    const NULL: Value = Value::Integer(None);

    fn value(self) -> Value {
        Value::Integer(Some(self.into()))
    }
}

impl Bind for f64 {
    const NULL: Value = Value::Real(None);

    fn value(self) -> Value {
        Value::Real(Some(self))
    }
}

impl Bind for Vec<u8> {
    const NULL: Value = Value::Bytes(None);

    fn value(self) -> Value {
        Value::Bytes(Some(self))
    }
}

impl Bind for bool {
    const NULL: Value = Value::Boolean(None);

    fn value(self) -> Value {
        Value::Boolean(Some(self))
    }
}
